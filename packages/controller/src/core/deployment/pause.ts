// A failure that people decide about: nothing more is sent until somebody resumes or cancels, or the pause has
// lasted too long. What was in flight goes on, and each failed host has undone itself.
import { withState } from './change-step.ts'
import type { Step } from './events.ts'
import { beginReverting } from './revert.ts'
import { hasFailed } from './state.ts'

export const beginPause = (step: Step, cause: string, atMs: number): Step =>
  withState(step, {
    phase: 'paused',
    cause,
    nextBatchAtMs: null,
    pausedUntilMs: atMs + step.state.timing.pauseLimitMs,
    targets: step.state.targets.map((target) => ({ ...target, turnAtMs: null }))
  })

export const advancePaused = (step: Step, atMs: number): Step => {
  const { cancelledBy, pausedUntilMs, cause, timing } = step.state
  if (cancelledBy !== null) return beginReverting(step, null)
  if (pausedUntilMs === null || atMs < pausedUntilMs) return step
  return beginReverting(step, `${cause}; nobody resumed it within ${durationText(timing.pauseLimitMs)}`)
}

/** Goes on with the hosts that are left; only what fails from now on counts. */
export const recordResumed = (step: Step): Step =>
  step.state.phase !== 'paused'
    ? step
    : withState(step, {
        phase: 'rolling',
        cause: null,
        pausedUntilMs: null,
        targets: step.state.targets.map((target) =>
          hasFailed(target) ? { ...target, isForgiven: true } : target
        )
      })

const durationText = (ms: number): string => {
  if (ms >= 3_600_000 && ms % 3_600_000 === 0) return `${ms / 3_600_000} h`
  return ms >= 60_000 && ms % 60_000 === 0 ? `${ms / 60_000} min` : `${Math.round(ms / 1000)} s`
}
