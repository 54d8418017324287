// Which controller may write deployments: the one that took the lease last. It renews it as long as it lives; locks
// say so, for whoever they refuse. One that was taken over learns it at its next write, and writes and sends nothing.
import { formatId } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import {
  type Clock,
  type LeaseRow,
  type Log,
  type Random,
  type Reads,
  type Store,
  StoreFull,
  type Tx
} from '../ports.ts'

export type Lease = {
  owner: string
  leaseMs: number
  /** Goes into every fence; grows with each take-over, so that hosts refuse what the former owner still sends. */
  epoch(): number
  /**
   * Makes this controller the owner, whoever was it before, and renews that from now on.
   * @param renewed called now and then, while the lease is held
   * @returns by how many milliseconds, at least, the clock was set back since the former owner looked at it
   */
  take(renewed: () => void): Promise<number>
  /** @throws ApiError `stopping` when another controller has taken over */
  require(tx: Reads): Promise<void>
  isHeld(): Promise<boolean>
  /** Resolves once another controller is known to have taken over: this one is of no use any more. */
  lost: Promise<void>
  isLost(): boolean
  stop(): void
}
type Ports = {
  store: Store
  clock: Clock
  steadyClock: Clock
  random: Random
  log: Log
}

/** A controller that has not renewed its lease for this long is gone. */
const leaseMs = 60_000
const renewMs = 20_000

/** Writes without the writer, whose every transaction asks the lease first: `take` is what makes it true. */
export const createLease = (ports: Ports): Lease => {
  const { store, clock, steadyClock, random, log } = ports
  const owner = formatId<string>('ctl', random.bytes(13))
  let epoch = 0
  let cancelTimer = (): void => {}
  let isStopped = false
  let isLost = false
  const lost = Promise.withResolvers<void>()
  /** Whose lease still stands in the store because the disk was full when it was taken; null: the own one does. */
  let unwritten: { former: LeaseRow | undefined } | null = null

  const isOwner = async (reads: Pick<Reads, 'lease'>): Promise<boolean> => {
    const stored = await reads.lease()
    if (stored?.owner === owner) return true
    if (
      unwritten !== null &&
      stored?.owner === unwritten.former?.owner &&
      stored?.epoch === unwritten.former?.epoch
    )
      return true
    if (epoch > 0 && !isLost) {
      isLost = true
      log.error({}, 'another controller has taken over: nothing is written or sent any more')
      lost.resolve()
    }
    return false
  }
  const require = async (reads: Reads): Promise<void> => {
    if (await isOwner(reads)) return
    throw new ApiError('stopping', 'another controller has taken over')
  }
  const put = async (tx: Tx, next: number): Promise<void> => {
    const leaseUntilMs = clock.nowMs() + leaseMs
    await tx.putLease({ owner, epoch: next, leaseUntilMs })
    await tx.holdLocks(owner, leaseUntilMs)
  }
  const renew = async (): Promise<void> => {
    await store.transaction(async (tx) => {
      await require(tx)
      await put(tx, epoch)
    })
    unwritten = null
  }
  const takeOver = async (): Promise<LeaseRow | undefined> =>
    store.transaction(async (tx) => {
      const former = await tx.lease()
      epoch = (former?.epoch ?? 1) + 1
      await put(tx, epoch)
      return former
    })
  /** Nobody is kept from looking by a full disk: the first renewal that finds room writes the lease. */
  const takeOverUnwritten = async (error: unknown): Promise<LeaseRow | undefined> => {
    if (!(error instanceof StoreFull)) throw error
    const former = await store.lease()
    epoch = (former?.epoch ?? 1) + 1
    unwritten = { former }
    log.warn({}, 'the disk is full: nothing can be changed until there is room')
    return former
  }
  const renewLater = (renewed: () => void): void => {
    if (isStopped || isLost) return
    const wake = (): void => {
      renew()
        .then(renewed)
        .catch((error: unknown) => log.error({ err: error }, 'the lease could not be renewed'))
        .finally(() => renewLater(renewed))
    }
    cancelTimer = steadyClock.at(steadyClock.nowMs() + renewMs, wake)
  }
  return {
    owner,
    leaseMs,
    epoch: () => epoch,
    take: async (renewed) => {
      const former = await takeOver().catch(takeOverUnwritten)
      renewLater(renewed)
      return Math.max(0, (former?.leaseUntilMs ?? 0) - leaseMs - clock.nowMs())
    },
    require,
    isHeld: () => isOwner(store),
    lost: lost.promise,
    isLost: () => isLost,
    stop: () => {
      isStopped = true
      cancelTimer()
    }
  }
}

/**
 * For a store that was put back as it was: the epochs of whoever went on with it meanwhile are left behind. Starts
 * count up by one, so that none of them ever reaches the milliseconds of a clock.
 */
export const raiseEpoch = (store: Store, nowMs: number): Promise<void> =>
  store.transaction(async (tx) => {
    const former = await tx.lease()
    const epoch = Math.max((former?.epoch ?? 1) + 1, nowMs)
    await tx.putLease({ owner: former?.owner ?? '', epoch, leaseUntilMs: former?.leaseUntilMs ?? 0 })
  })
