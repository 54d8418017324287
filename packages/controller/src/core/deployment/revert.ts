// Back: every host that switched, or may have, is told once to go back; then their answers decide.
import { cancelInFlight, forEachTarget, giveCommand, withState, withTarget } from './change-step.ts'
import { endReverted, isBack, orderBack, oweBack } from './end.ts'
import type { Step } from './events.ts'
import { type DeploymentState, isRepair, partOf, type Target } from './state.ts'

/** @param cause what failed; null: cancelled */
export const beginReverting = (step: Step, cause: string | null): Step => {
  const reverting = withState(step, { phase: 'reverting', cause, nextBatchAtMs: null, pausedUntilMs: null })
  return forEachTarget(reverting, (done, target) =>
    target.state === 'ready'
      ? withTarget(done, target, { state: 'untouched', turnAtMs: null })
      : cancelInFlight(done, target)
  )
}

export const advanceReverting = (step: Step, atMs: number): Step => {
  const told = forEachTarget(step, (done, target) => tellToGoBack(done, target, atMs))
  return told.state.targets.some((target) => target.inFlight !== null) ? told : endReverted(told, atMs)
}

const tellToGoBack = (step: Step, target: Target, atMs: number): Step => {
  if (!mustGoBack(step.state, target)) return step
  if (target.state === 'unknown' && target.absentSinceMs !== null) return oweBack(step, target, atMs)
  const change: Partial<Target> = { state: 'reverting', wasToldToGoBack: true }
  return giveCommand(step, target, orderBack(step.state, target), atMs, change)
}

const mustGoBack = (state: DeploymentState, target: Target): boolean =>
  target.state !== 'skipped' &&
  target.inFlight === null &&
  !target.wasToldToGoBack &&
  !(target.state === 'unknown' && target.goneBecause !== undefined) &&
  !isRepair(partOf(state, target)) &&
  !isBack(state, target)
