// Which controller may write deployments: the one that took the lease last. It renews it as long as it lives; locks
// say so, for whoever they refuse. One that was taken over learns it at its next write, and writes and sends nothing.
import { formatId } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { Clock, Log, Random, Reads, Store, Tx } from '../ports.ts'
import type { Writer } from './writer.ts'

export type Lease = {
  owner: string
  leaseMs: number
  /** Goes into every fence; grows with each take-over, so that hosts refuse what the former owner still sends. */
  epoch(): number
  /** Makes this controller the owner, whoever was it before, and renews that from now on. */
  take(): Promise<void>
  /** @throws ApiError `stopping` when another controller has taken over */
  require(tx: Reads): Promise<void>
  isHeld(): Promise<boolean>
  stop(): void
}
type Ports = {
  store: Store
  writer: Writer
  clock: Clock
  steadyClock: Clock
  random: Random
  /** Now and then, while the lease is held. */
  renewed(): void
  log: Log
}

/** A controller that has not renewed its lease for this long is gone. */
const leaseMs = 60_000
const renewMs = 20_000

/** @param ports.writer writes whatever the lease says: `take` is what makes it true */
export const createLease = (ports: Ports): Lease => {
  const { store, writer, clock, steadyClock, random, log } = ports
  const owner = formatId<string>('ctl', random.bytes(13))
  let epoch = 0
  let cancelTimer = (): void => {}
  let isStopped = false

  const require = async (reads: Reads): Promise<void> => {
    if ((await reads.lease())?.owner === owner) return
    throw new ApiError('stopping', 'another controller has taken over')
  }
  const put = async (tx: Tx, next: number): Promise<void> => {
    const leaseUntilMs = clock.nowMs() + leaseMs
    await tx.putLease({ owner, epoch: next, leaseUntilMs })
    await tx.holdLocks(owner, leaseUntilMs)
  }
  const renew = async (): Promise<void> => {
    await writer.step(async (tx) => {
      await require(tx)
      await put(tx, epoch)
    })
  }
  const renewLater = (): void => {
    if (isStopped) return
    const wake = (): void => {
      renew()
        .then(ports.renewed)
        .catch((error: unknown) => log.error({ err: error }, 'the lease could not be renewed'))
        .finally(renewLater)
    }
    cancelTimer = steadyClock.at(steadyClock.nowMs() + renewMs, wake)
  }
  return {
    owner,
    leaseMs,
    epoch: () => epoch,
    take: async () => {
      epoch = await writer.step(async (tx) => {
        const next = ((await tx.lease())?.epoch ?? 1) + 1
        await put(tx, next)
        return next
      })
      renewLater()
    },
    require,
    isHeld: async () => (await store.lease())?.owner === owner,
    stop: () => {
      isStopped = true
      cancelTimer()
    }
  }
}
