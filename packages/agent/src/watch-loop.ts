// Whether the agent's loop goes on: whatever waits says by when it turns again, and who asks later than that learns
// that it hangs. The event loop alone would turn on, whatever waits for ever.
import type { Clock } from './ports.ts'

/** A dial, an answer of the controller and a busy machine take their time: each of them has a shorter limit. */
const graceMs = 60_000

export type LoopWatch = {
  turnsWithin(delayMs: number): void
  /** @returns null: it turned as promised, or has not begun */
  complaint(): string | null
}

export const watchLoop = (clock: Pick<Clock, 'monotonicMs'>): LoopWatch => {
  let dueAtMs: number | null = null
  return {
    turnsWithin: (delayMs) => {
      dueAtMs = clock.monotonicMs() + delayMs + graceMs
    },
    complaint: () => {
      const lateMs = dueAtMs === null ? 0 : clock.monotonicMs() - dueAtMs
      return lateMs > 0 ? `the loop of connections should have turned ${Math.ceil(lateMs)} ms ago` : null
    }
  }
}
