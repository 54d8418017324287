// Waiting inside a step, by the injected clock.

import { StepError } from '../engine-error.ts'
import type { Runtime } from '../ports.ts'

/** Resolves after the delay, or at once when the run is to stop: callers look at the signal themselves. */
export const pause = (runtime: Pick<Runtime, 'clock' | 'signal'>, delayMs: number): Promise<void> =>
  new Promise((resolve) => {
    if (runtime.signal.aborted) {
      // Still one turn of the clock, so that a loop around this never spins.
      runtime.clock.after(Math.min(delayMs, 50), resolve)
      return
    }
    const wake = () => {
      stopTimer()
      runtime.signal.removeEventListener('abort', wake)
      resolve()
    }
    const stopTimer = runtime.clock.after(delayMs, wake)
    runtime.signal.addEventListener('abort', wake, { once: true })
  })

/** Throws when the run is to stop; the run itself knows whether it was cancelled or out of time. */
export const throwIfStopped = (runtime: Pick<Runtime, 'signal'>): void => {
  if (runtime.signal.aborted) throw new StepError('interrupted', 'the run was asked to stop')
}
