// Did somebody set the clock? The time of day is compared with a clock that never jumps: the difference is what all
// waits have to be moved by, so that none ends early or late.
import type { Clock } from '../ports.ts'

export type ClockDrift = {
  /** Milliseconds that the time of day has gone ahead since the last `settle`; 0 as long as it is about right. */
  measure(): number
  /** Everything was moved by so much. */
  settle(byMs: number): void
}

/** Waits are of minutes; a clock that is corrected slowly stays below this for long. */
const toleratedMs = 2_000

export const createClockDrift = ({
  clock,
  steadyClock
}: {
  clock: Clock
  steadyClock: Clock
}): ClockDrift => {
  const offset = (): number => Math.round(clock.nowMs() - steadyClock.nowMs())
  let known = offset()
  return {
    measure: () => {
      const byMs = offset() - known
      return Math.abs(byMs) < toleratedMs ? 0 : byMs
    },
    settle: (byMs) => {
      known += byMs
    }
  }
}
