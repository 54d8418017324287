// A store that tells how long its transactions take, and how long of that their commits.
import type { Clock, Store } from '../ports.ts'
import type { Meters } from './meters.ts'

export const measureCommits = (
  store: Store,
  { steadyClock, meters }: { steadyClock: Pick<Clock, 'nowMs'>; meters: Pick<Meters, 'transactionTook'> }
): Store => ({
  ...store,
  transaction: async (work) => {
    let [beganMs, workedMs] = [0, 0]
    const result = await store.transaction(async (tx) => {
      beganMs = steadyClock.nowMs()
      const done = await work(tx)
      workedMs = steadyClock.nowMs()
      return done
    })
    const nowMs = steadyClock.nowMs()
    meters.transactionTook({ ms: nowMs - beganMs, commitMs: nowMs - workedMs })
    return result
  }
})
