// What a target is known to be after its agent answered a command (a report, or a refusal to execute it), or after
// nobody answered in time. Only the target changes here; what follows is decided by the phases.
import type { RunError, RunOutcome } from '@longshore/protocol'
import { abandonInFlight, withState, withTarget } from './change-step.ts'
import { isBack } from './end.ts'
import { type DeploymentState, previousRelease, type Step, type Target } from './state.ts'

export type Answer =
  | { kind: 'reported'; outcome: RunOutcome }
  | { kind: 'refused'; code: string; detail: string }
type Why = Pick<Target, 'reason' | 'code' | 'log'>

const nothingWrong: Why = { reason: null, code: null, log: [] }

/** @param index of the command that is answered; answers to commands nobody waits for change nothing */
export const recordAnswer = (step: Step, target: Target, index: number, answer: Answer): Step => {
  if (index === target.settling) return recordSettled(step, target, answer)
  if (index === target.owedRevert) return recordWentBack(step, target, answer)
  if (target.inFlight?.index !== index) return step
  const { kind } = target.inFlight
  const answered = withTarget(step, target.agent, { inFlight: null })
  switch (kind) {
    case 'resolve':
      return recordResolved(answered, target, answer)
    case 'stage':
      return recordVote(answered, target, answer)
    case 'release':
      return recordReleased(answered, target, answer)
    case 'revert':
    case 'remove':
      return recordWentBack(answered, target, answer)
    case 'settle':
      return answered
    default:
      return kind satisfies never
  }
}

const recordResolved = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'reported' && answer.outcome.status === 'succeeded') {
    const { result } = answer.outcome
    if (result.kind === 'resolve') return withState(step, { digest: result.digest })
  }
  return recordUnresolved(step, target, whyNot(answer).reason ?? 'no digest was reported')
}

/** One agent could not resolve the tag: noted, the next one is asked. */
const recordUnresolved = (step: Step, target: Target, why: string): Step => {
  const { asked, failures } = step.state.resolve
  return withState(step, { resolve: { asked, failures: [...failures, `host ${target.host}: ${why}`] } })
}

const recordVote = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'refused' || answer.outcome.status !== 'succeeded') {
    const serving = answer.kind === 'refused' ? target.serving : answer.outcome.serving
    return voteNo(step, { ...target, serving }, whyNot(answer))
  }
  const { result, serving, release } = answer.outcome
  if (result.kind !== 'stage') return voteNo(step, target, mismatch(result.kind))
  const { platform, diffIds } = result.image
  const other = step.state.targets.find(
    ({ agent, image }) =>
      agent !== target.agent && image?.platform === platform && !isSame(image.diffIds, diffIds)
  )
  if (other !== undefined) {
    const reason = `the image differs from the one staged on host ${other.host}: same digest, other layers`
    return voteNo(step, target, { reason, code: 'image-invalid', log: [] })
  }
  const { isRunning } = result
  const former = isRunning ? previousRelease(step.state) : serving === 'old' ? release : null
  return withTarget(step, target.agent, {
    state: 'ready',
    image: { platform, diffIds },
    isRunning,
    mayRunNew: isRunning,
    former,
    serving
  })
}

const voteNo = (step: Step, target: Target, why: Why): Step =>
  withTarget(step, target.agent, { ...why, state: 'not-ready', serving: target.serving })

const recordReleased = (step: Step, target: Target, answer: Answer): Step => {
  const { agent } = target
  if (answer.kind === 'refused') {
    return withTarget(step, agent, { ...whyNot(answer), state: 'failed', mayRunNew: target.isRunning })
  }
  const { outcome } = answer
  const { serving } = outcome
  if (outcome.status === 'succeeded') {
    if (serving === 'new') return withTarget(step, agent, { ...nothingWrong, state: 'released', serving })
    return withTarget(step, agent, { ...mismatch('release'), state: 'unknown', serving })
  }
  if (outcome.status === 'unknown' || serving === 'unknown') {
    return withTarget(step, agent, { ...whyNot(answer), state: 'unknown', serving: 'unknown' })
  }
  const isObedient = outcome.error.code === 'cancelled' && isBack(step.state, { ...target, serving })
  return withTarget(step, agent, { ...whyNot(answer), state: isObedient ? 'reverted' : 'failed', serving })
}

/** Why a host failed to switch is kept beside the fact that it is back. */
const recordWentBack = (step: Step, target: Target, answer: Answer): Step => {
  const { agent } = target
  const done: Partial<Target> = { owedRevert: null }
  if (answer.kind === 'refused') {
    const why = { ...whyNot(answer), reason: `it refused to go back: ${answer.detail}` }
    const state = target.serving === 'unknown' ? 'unknown' : 'failed'
    return withTarget(step, agent, { ...done, ...why, state })
  }
  const { serving } = answer.outcome
  if (answer.outcome.status !== 'unknown' && isBack(step.state, { ...target, serving })) {
    return withTarget(step, agent, { ...done, state: 'reverted', serving })
  }
  const isUnknown = answer.outcome.status === 'unknown' || serving === 'unknown'
  const why = whyNot(answer)
  return withTarget(step, agent, {
    ...done,
    ...why,
    reason: `it could not go back: ${why.reason ?? `it serves ${serving}`}`,
    state: isUnknown ? 'unknown' : 'failed',
    serving: isUnknown ? 'unknown' : serving
  })
}

const recordSettled = (step: Step, target: Target, answer: Answer): Step => {
  const settled = withTarget(step, target.agent, { settling: null })
  const warnings = settleWarnings(answer).map((text) => `host ${target.host}: ${text}`)
  return withState(settled, { warnings: [...step.state.warnings, ...warnings] })
}

const settleWarnings = (answer: Answer): string[] => {
  if (answer.kind === 'refused') return answer.code === 'stale' ? [] : [`not cleaned up: ${answer.detail}`]
  if (answer.outcome.status !== 'succeeded') return [`not cleaned up: ${answer.outcome.error.detail}`]
  return answer.outcome.result.kind === 'settle' ? answer.outcome.result.warnings : []
}

/** Nobody answered: the session is gone for too long, or the command is past its deadline. */
export const recordSilence = (step: Step, target: Target, isLost: boolean): Step => {
  const { inFlight, agent } = target
  const why = silenceOf(step.state, target, isLost)
  const silent = abandonInFlightUnlessGoingBack(step, target)
  if (inFlight === null) {
    return step.state.phase === 'rolling'
      ? withTarget(silent, agent, { ...why, state: 'failed', turnAtMs: null })
      : voteNo(silent, target, why)
  }
  switch (inFlight.kind) {
    case 'resolve':
      return recordUnresolved(silent, target, why.reason ?? '')
    case 'stage':
      return voteNo(silent, target, why)
    case 'release':
      return withTarget(silent, agent, { ...why, state: 'unknown', serving: 'unknown' })
    case 'revert':
    case 'remove':
      return withTarget(silent, agent, {
        ...why,
        state: 'unknown',
        serving: 'unknown',
        owedRevert: inFlight.index
      })
    case 'settle':
      return silent
    default:
      return inFlight.kind satisfies never
  }
}

/** The command to go back stays owed: the host obeys it when it returns. */
const abandonInFlightUnlessGoingBack = (step: Step, target: Target): Step =>
  target.inFlight?.kind === 'revert' || target.inFlight?.kind === 'remove'
    ? withTarget(step, target.agent, { inFlight: null })
    : abandonInFlight(step, target)

const silenceOf = (state: DeploymentState, target: Target, isLost: boolean): Why => {
  const seconds = Math.round(state.timing.lostAfterMs / 1000)
  const silence = isLost
    ? `its agent has not been connected for ${seconds} s`
    : `its agent did not report in time on ${target.inFlight?.kind ?? 'anything'}`
  const promise =
    target.former === null ? 'the release is removed' : `it goes back to release ${target.former}`
  const isSwitching = target.mayRunNew && target.inFlight !== null && state.phase !== 'staging'
  const reason = isSwitching && isLost ? `${silence}; ${promise} when it returns` : silence
  return { reason, code: isLost ? 'lost' : 'no-report', log: [] }
}

const whyNot = (answer: Answer): Why => {
  if (answer.kind === 'refused') {
    return { reason: `refused (${answer.code}): ${answer.detail}`, code: answer.code, log: [] }
  }
  return answer.outcome.status === 'succeeded' ? nothingWrong : whyOfError(answer.outcome.error)
}

const whyOfError = ({ code, detail, log }: RunError): Why => ({
  reason: detail === '' ? code : detail,
  code,
  log
})

const mismatch = (kind: string): Why => ({
  reason: `its report (${kind}) does not fit the command`,
  code: 'engine-error',
  log: []
})

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((value, position) => value === b[position])
