// What nobody asks for any more goes from the store: plans after a day, the signed text of commands after a month
// (what was ordered stays in the audit). Deployments and releases stay.
import type { Clock, Log } from '../ports.ts'
import type { Writer } from './writer.ts'

const hourMs = 3_600_000
const everyMs = 6 * hourMs
const keepPlansMs = 24 * hourMs
const keepCommandsMs = 30 * 24 * hourMs

export type Pruner = { start(): void; stop(): void }

export const createPruner = (ports: {
  writer: Writer
  clock: Clock
  steadyClock: Clock
  log: Log
}): Pruner => {
  const { writer, clock, steadyClock, log } = ports
  let cancelTimer = (): void => {}
  let isStopped = false

  const prune = (): Promise<void> =>
    writer.step(async (tx) => {
      const nowMs = clock.nowMs()
      await tx.prunePlans(nowMs - keepPlansMs)
      await tx.pruneCommands(nowMs - keepCommandsMs)
    })
  const later = (): void => {
    if (isStopped) return
    cancelTimer = steadyClock.at(steadyClock.nowMs() + everyMs, () => {
      prune()
        .catch((error: unknown) => log.error({ err: error }, 'old rows could not be removed'))
        .finally(later)
    })
  }
  return {
    start: later,
    stop: () => {
      isStopped = true
      cancelTimer()
    }
  }
}
