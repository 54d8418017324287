// Waiting for an engine that went away: it restarts, or is being upgraded.
import { isEngineError } from '../engine-error.ts'
import type { Runtime } from '../ports.ts'
import { pause } from './pause.ts'

/** An engine that restarts is back in seconds; one that is upgraded in a minute. */
export const engineWaitMs = 120_000
export const enginePollMs = 250

/**
 * Also when the run is to stop: the way back needs the engine.
 * @param deadlineMs on the monotonic clock
 * @returns whether it answered before the deadline
 */
export const waitForEngine = async (runtime: Runtime, deadlineMs: number): Promise<boolean> => {
  runtime.progress('waiting for the Docker Engine')
  while (runtime.clock.monotonicMs() < deadlineMs) {
    try {
      await runtime.engine.ping()
      return true
    } catch (error) {
      if (!isEngineError(error, 'unreachable', 'timed-out')) return false
    }
    await pause(runtime, enginePollMs)
  }
  return false
}
