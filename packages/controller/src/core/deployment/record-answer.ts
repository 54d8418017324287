// What a target is known to be after its agent answered a command (a report, or a refusal to execute it). Only the
// target and its part change here; what follows is decided by the phases. Silence: record-silence.ts.
import { type RunError, type RunOutcome, type RunResult, sourceText } from '@longshore/protocol'
import type { SpecChange } from '../../api/schemas.ts'
import { withPart, withState, withTarget } from './change-step.ts'
import { isBack } from './end.ts'
import type { Step } from './events.ts'
import { recordRunOnce, recordRunOnceRefused } from './release-command.ts'
import { isRemoval, partOf, previousRelease, type Target } from './state.ts'

export type Answer =
  | { kind: 'reported'; outcome: RunOutcome; changes: SpecChange[] }
  | { kind: 'refused'; code: string; detail: string }
export type Why = Pick<Target, 'reason' | 'code' | 'log'>

const nothingWrong: Why = { reason: null, code: null, log: [] }

/** @param index of the command that is answered; answers to commands nobody waits for change nothing */
export const recordAnswer = (step: Step, target: Target, index: number, answer: Answer): Step => {
  if (index === target.settling) return recordSettled(step, target, answer)
  if (index === target.owedRevert) {
    return isRemoval(step.state) ? recordRemoved(step, target, answer) : recordWentBack(step, target, answer)
  }
  if (target.inFlight?.index !== index) return step
  const { kind } = target.inFlight
  const answered = withTarget(step, target, { inFlight: null })
  switch (kind) {
    case 'resolve':
      return recordResolved(answered, target, answer)
    case 'stage':
      return recordVote(answered, target, answer)
    case 'release':
      return recordReleased(answered, target, answer)
    case 'remove':
      return isRemoval(step.state)
        ? recordRemoved(answered, target, answer)
        : recordWentBack(answered, target, answer)
    case 'revert':
      return recordWentBack(answered, target, answer)
    case 'plan':
      return recordPlanned(answered, target, answer)
    case 'rehearse':
      return recordRehearsed(answered, target, answer)
    case 'run-once':
      return answer.kind === 'refused'
        ? recordRunOnceRefused(answered, target, answer.detail)
        : recordRunOnce(answered, target, answer.outcome)
    case 'upgrade':
      return recordUpgraded(answered, target, answer)
    case 'settle':
      return answered
    default:
      return kind satisfies never
  }
}

const recordResolved = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'reported' && answer.outcome.status === 'succeeded') {
    const { result } = answer.outcome
    if (result.kind === 'resolve')
      return withWarnings(withPart(step, target, { digest: result.digest }), target, resolveNotes(result))
  }
  return recordUnresolved(step, target, whyNot(answer).reason ?? 'no digest was reported')
}

/** One agent could not resolve the tag: noted, the next one is asked. */
export const recordUnresolved = (step: Step, target: Target, why: string): Step => {
  const { asked, failures } = partOf(step.state, target).resolve
  const resolve = { asked, failures: [...failures, `host ${target.host}: ${why}`] }
  return withPart(step, target, { resolve })
}

const resolveNotes = ({ source, failedSources }: Extract<RunResult, { kind: 'resolve' }>): string[] =>
  source === undefined || failedSources === undefined
    ? []
    : [
        `${sourceText(source)} said which image the tag is: ${failedSources
          .map((one) => `${sourceText(one.source)}: ${one.detail}`)
          .join('; ')}`
      ]

const recordVote = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'refused' || answer.outcome.status !== 'succeeded') {
    const serving = answer.kind === 'refused' ? target.serving : answer.outcome.serving
    const failed =
      answer.kind === 'reported' && answer.outcome.status !== 'succeeded' ? answer.outcome.error : {}
    return withTarget(voteNo(step, { ...target, serving }, whyNot(answer)), target, sourcesOf(failed))
  }
  const { result, serving, release } = answer.outcome
  if (result.kind !== 'stage') return voteNo(step, target, mismatch(result.kind))
  const { platform, diffIds } = result.image
  const other = step.state.targets.find(
    ({ agent, service, image }) =>
      service === target.service &&
      agent !== target.agent &&
      image?.platform === platform &&
      !isSame(image.diffIds, diffIds)
  )
  if (other !== undefined) {
    const reason = `the image differs from the one staged on host ${other.host}: same digest, other layers`
    return voteNo(step, target, { reason, code: 'image-invalid', log: [] })
  }
  const { isRunning } = result
  const former = isRunning ? previousRelease(partOf(step.state, target)) : serving === 'old' ? release : null
  return withTarget(step, target, {
    state: 'ready',
    image: { platform, diffIds },
    isRunning,
    mayRunNew: isRunning,
    former,
    serving,
    ...(serving === 'old' && release === null ? { hadOther: true as const } : {}),
    ...sourcesOf(result)
  })
}

type Told = { source?: Target['source'] | undefined; failedSources?: Target['failedSources'] | undefined }

const sourcesOf = ({ source, failedSources }: Told): Partial<Target> => ({
  ...(source !== undefined && { source }),
  ...(failedSources !== undefined && { failedSources })
})

export const voteNo = (step: Step, target: Target, why: Why): Step =>
  withTarget(step, target, { ...why, state: 'not-ready', serving: target.serving })

const recordPlanned = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'refused' || answer.outcome.status !== 'succeeded')
    return voteNo(step, target, whyNot(answer))
  const { result, serving } = answer.outcome
  if (result.kind !== 'plan') return voteNo(step, target, mismatch(result.kind))
  const { kind: _, ...found } = result
  const plan = { ...found, changes: answer.changes }
  return withTarget(step, target, { state: 'planned', serving, isRunning: plan.isRunning, plan })
}

/** What serves goes on serving, however the rehearsal ends. */
const recordRehearsed = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'refused') return withTarget(step, target, { ...whyNot(answer), state: 'failed' })
  const { status, serving } = answer.outcome
  if (status !== 'succeeded') return withTarget(step, target, { ...whyNot(answer), state: 'failed', serving })
  const { kind } = answer.outcome.result
  return kind === 'rehearse'
    ? withTarget(step, target, { ...nothingWrong, state: 'rehearsed', serving })
    : withTarget(step, target, { ...mismatch(kind), state: 'failed', serving })
}

const recordRemoved = (step: Step, target: Target, answer: Answer): Step => {
  const done: Partial<Target> = { owedRevert: null }
  if (answer.kind === 'refused')
    return withTarget(step, target, { ...done, ...whyNot(answer), state: 'failed' })
  const { status, serving } = answer.outcome
  if (status === 'succeeded')
    return withTarget(step, target, { ...done, ...nothingWrong, state: 'removed', serving })
  const state = status === 'unknown' ? 'unknown' : 'failed'
  return withTarget(step, target, { ...done, ...whyNot(answer), state, serving })
}

/** The agent that answers is the new one, or the one that was there. */
const recordUpgraded = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'refused')
    return withTarget(step, target, { ...whyNot(answer), state: 'failed', serving: 'old' })
  const { outcome } = answer
  if (outcome.status !== 'succeeded')
    return withTarget(step, target, { ...whyNot(answer), state: 'failed', serving: 'old' })
  const { result } = outcome
  if (result.kind !== 'upgrade')
    return withTarget(step, target, { ...mismatch(result.kind), state: 'unknown' })
  const { version, former } = result
  const note =
    version === former ? `its agent is ${version}, as before` : `its agent was ${former} and is ${version}`
  const released = withTarget(step, target, { ...nothingWrong, state: 'released', serving: 'new' })
  return withWarnings(released, target, [note])
}

const recordReleased = (step: Step, target: Target, answer: Answer): Step => {
  if (answer.kind === 'refused') {
    return withTarget(step, target, { ...whyNot(answer), state: 'failed', mayRunNew: target.isRunning })
  }
  const { outcome } = answer
  const { serving } = outcome
  if (outcome.status === 'succeeded') {
    if (serving === 'new') {
      const change = { ...nothingWrong, ...trafficOf(outcome.result), state: 'released', serving } as const
      return withWarnings(withTarget(step, target, change), target, notesOf(outcome.result))
    }
    return withTarget(step, target, { ...mismatch('release'), state: 'unknown', serving })
  }
  if (outcome.status === 'unknown' || serving === 'unknown') {
    return withTarget(step, target, { ...whyNot(answer), state: 'unknown', serving: 'unknown' })
  }
  const wasAsked = target.inFlight?.isCancelled === true
  const isObedient =
    wasAsked && outcome.error.code === 'cancelled' && isBack(step.state, { ...target, serving })
  return withTarget(step, target, { ...whyNot(answer), state: isObedient ? 'reverted' : 'failed', serving })
}

const trafficOf = (result: RunResult): Pick<Target, 'traffic'> =>
  result.kind === 'release' && result.traffic !== undefined ? { traffic: result.traffic } : {}

const notesOf = (result: RunResult): readonly string[] =>
  result.kind === 'release' ? (result.notes ?? []) : []

const withWarnings = (step: Step, { host }: Target, texts: readonly string[]): Step =>
  texts.length === 0
    ? step
    : withState(step, { warnings: [...step.state.warnings, ...texts.map((text) => `host ${host}: ${text}`)] })

/** Why a host failed to switch is kept beside the fact that it is back. */
const recordWentBack = (step: Step, target: Target, answer: Answer): Step => {
  const done: Partial<Target> = { owedRevert: null }
  if (answer.kind === 'refused') {
    const why = { ...whyNot(answer), reason: `it refused to go back: ${answer.detail}` }
    const state = target.serving === 'unknown' ? 'unknown' : 'failed'
    return withTarget(step, target, { ...done, ...why, state })
  }
  const { serving } = answer.outcome
  if (answer.outcome.status !== 'unknown' && isBack(step.state, { ...target, serving })) {
    return withTarget(step, target, { ...done, state: 'reverted', serving })
  }
  const isUnknown = answer.outcome.status === 'unknown' || serving === 'unknown'
  const why = whyNot(answer)
  return withTarget(step, target, {
    ...done,
    ...why,
    reason: `it could not go back: ${why.reason ?? `it serves ${serving}`}`,
    state: isUnknown ? 'unknown' : 'failed',
    serving: isUnknown ? 'unknown' : serving
  })
}

const recordSettled = (step: Step, target: Target, answer: Answer): Step =>
  withWarnings(withTarget(step, target, { settling: null }), target, settleWarnings(answer))

const settleWarnings = (answer: Answer): string[] => {
  if (answer.kind === 'refused') return answer.code === 'stale' ? [] : [`not cleaned up: ${answer.detail}`]
  if (answer.outcome.status !== 'succeeded') return [`not cleaned up: ${answer.outcome.error.detail}`]
  return answer.outcome.result.kind === 'settle' ? answer.outcome.result.warnings : []
}

export const whyNot = (answer: Answer): Why => {
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
