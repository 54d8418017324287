// What a target is known to be after nobody answered in time: its session is gone for too long, or the command is
// past its deadline. What follows is decided by the phases.
import { abandonInFlight, withTarget } from './change-step.ts'
import type { Step } from './events.ts'
import { recordUnresolved, voteNo, type Why } from './record-answer.ts'
import { withReleaseCommand } from './release-command.ts'
import { type DeploymentState, isRemoval, type Target } from './state.ts'

export const recordSilence = (step: Step, target: Target, isLost: boolean): Step => {
  const { inFlight } = target
  const why = silenceOf(step.state, target, isLost)
  const silent = abandonInFlightUnlessGoingBack(step, target)
  if (inFlight === null) {
    return step.state.phase === 'rolling'
      ? withTarget(silent, target, { ...why, state: 'failed', turnAtMs: null })
      : voteNo(silent, target, why)
  }
  switch (inFlight.kind) {
    case 'resolve':
      return recordUnresolved(silent, target, why.reason ?? '')
    case 'plan':
    case 'stage':
      return voteNo(silent, target, why)
    case 'run-once':
      return withReleaseCommand(silent, target, {
        state: 'unknown',
        reason: `${why.reason}; the command may still be running there`
      })
    case 'rehearse':
      return withTarget(silent, target, { ...why, state: 'failed' })
    case 'release':
    case 'upgrade':
      return withTarget(silent, target, { ...why, state: 'unknown', serving: 'unknown' })
    case 'revert':
    case 'remove':
      return withTarget(silent, target, {
        ...why,
        state: 'unknown',
        serving: 'unknown',
        owedRevert: target.goneBecause === undefined ? inFlight.index : null
      })
    case 'settle':
      return silent
    default:
      return inFlight.kind satisfies never
  }
}

/** The command to go back stays owed: the host obeys it when it returns, unless it never does. */
const abandonInFlightUnlessGoingBack = (step: Step, target: Target): Step =>
  target.goneBecause === undefined && ['revert', 'remove'].includes(target.inFlight?.kind ?? '')
    ? withTarget(step, target, { inFlight: null })
    : abandonInFlight(step, target)

const silenceOf = (state: DeploymentState, target: Target, isLost: boolean): Why => {
  if (isLost && target.goneBecause !== undefined) return { reason: target.goneBecause, code: 'lost', log: [] }
  const seconds = Math.round(state.timing.lostAfterMs / 1000)
  const silence = isLost
    ? `its agent has not been connected for ${seconds} s`
    : `its agent did not report in time on ${target.inFlight?.kind ?? 'anything'}`
  const promise = promiseOf(state, target)
  const isSwitching = (target.mayRunNew || isRemoval(state)) && target.inFlight !== null && isUnderWay(state)
  const reason = isSwitching && isLost ? `${silence}; ${promise} when it returns` : silence
  return { reason, code: isLost ? 'lost' : 'no-report', log: [] }
}

const isUnderWay = ({ phase }: DeploymentState): boolean =>
  phase === 'rolling' || phase === 'paused' || phase === 'reverting'

const promiseOf = (state: DeploymentState, target: Target): string => {
  const { former } = target
  if (isRemoval(state)) return 'it obeys'
  return former === null ? 'the release is removed' : `it goes back to release ${former}`
}
