// Time that only passes when the simulation says so. Each process of the simulated world gets its own clock on
// the same time line; when the process crashes its clock is stopped, and nothing it waited for ever happens.

type Wake = { atMs: number; order: number; wake: () => void; isCancelled: boolean }

export type ProcessClock = {
  nowMs(): number
  monotonicMs(): number
  at(atMs: number, wake: () => void): () => void
  after(delayMs: number, wake: () => void): () => void
}

export type VirtualTime = {
  nowMs(): number
  /**
   * A clock for one process; `isAlive` is asked before each call-back. `skewMs` is how far its wall clock is off
   * at the moment: it may jump.
   */
  clockFor(isAlive: () => boolean, skewMs?: () => number): ProcessClock
  /** Runs the next call-back that is due, moving time to it; false when nothing waits. */
  passToNext(): boolean
  nextAtMs(): number | undefined
}

export const createVirtualTime = (startMs: number): VirtualTime => {
  const waiting: Wake[] = []
  let nowMs = startMs
  let order = 0

  const schedule = (atMs: number, wake: () => void): (() => void) => {
    order += 1
    const entry: Wake = { atMs: Math.ceil(Math.max(atMs, nowMs)), order, wake, isCancelled: false }
    const position = waiting.findIndex((other) => other.atMs > entry.atMs)
    waiting.splice(position === -1 ? waiting.length : position, 0, entry)
    return () => {
      entry.isCancelled = true
    }
  }
  const dropCancelled = (): void => {
    while (waiting[0]?.isCancelled === true) waiting.shift()
  }

  return {
    nowMs: () => nowMs,
    clockFor: (isAlive, skewMs = () => 0) => {
      const wallMs = () => nowMs + skewMs()
      const after = (delayMs: number, wake: () => void) =>
        schedule(nowMs + delayMs, () => {
          if (isAlive()) wake()
        })
      /** As the controller's clock does it: a timer that sleeps, looks at the wall clock, and may sleep again. */
      const at = (atMs: number, wake: () => void): (() => void) => {
        const look = (): void => {
          if (wallMs() >= atMs) wake()
          else cancel = after(atMs - wallMs(), look)
        }
        let cancel = after(Math.max(0, atMs - wallMs()), look)
        return () => cancel()
      }
      return { nowMs: wallMs, monotonicMs: () => nowMs - startMs, at, after }
    },
    passToNext: () => {
      dropCancelled()
      const next = waiting.shift()
      if (next === undefined) return false
      nowMs = next.atMs
      next.wake()
      return true
    },
    nextAtMs: () => {
      dropCancelled()
      return waiting[0]?.atMs
    }
  }
}
