// A deployment as the API shows it, and what to announce when it changed. Progress comes from memory.
import { type StepReceipt, sourceText } from '@longshore/protocol'
import type {
  DeploymentEvent,
  DeploymentView,
  ProgressView,
  ServicePart,
  TargetView
} from '../api/schemas.ts'
import {
  type DeploymentState,
  isUnchanged,
  type Part,
  previousRelease,
  type ReleaseCommand,
  type Target
} from '../core/deployment/state.ts'
import type { DeploymentRow } from '../ports.ts'

/** @returns the latest progress of the command, if any arrived since it was sent */
export type ProgressOf = (target: Target) => ProgressView | undefined
/** @returns what its commands did, as far as that is known */
export type StepsOf = (target: Target) => readonly StepReceipt[]

/** `state` of a row is what the machine left there. */
export const stateOf = (row: DeploymentRow): DeploymentState => row.state as DeploymentState

/** @throws TypeError for a state without parts, which no request makes */
export const firstPart = ({ id, parts }: DeploymentState): Part => {
  const [first] = parts
  if (first === undefined) throw new TypeError(`${id} has no part`)
  return first
}

export const viewDeployment = (
  row: DeploymentRow,
  progressOf: ProgressOf,
  stepsOf: StepsOf = () => []
): DeploymentView => {
  const state = stateOf(row)
  return {
    id: row.id,
    mode: state.mode,
    ...viewBrought(firstPart(state)),
    unchanged: isUnchanged(state),
    services: state.parts.map((part) => viewPart(state, part)),
    environment: row.environment,
    phase: state.phase,
    ...(state.phase === 'rolling' && { batch: state.batch }),
    outcome: state.outcome,
    reason: state.reason,
    what: row.what,
    isCancelRequested: state.cancelledBy !== null,
    requestedBy: row.requestedBy,
    requestReason: row.requestReason,
    build: row.build,
    attemptOf: row.attemptOf,
    requestedAtMs: row.requestedAtMs,
    endedAtMs: row.endedAtMs,
    ...viewPause(state),
    ...(state.mode === 'plan' && { refusals: state.refusals.map((refusal) => ({ ...refusal })) }),
    targets: state.targets.map((target) => viewTarget(state, target, progressOf(target), stepsOf(target))),
    warnings: [...state.warnings]
  }
}

const viewBrought = (part: Part) => ({
  service: part.service,
  release: part.release,
  previousRelease: previousRelease(part),
  repository: part.repository,
  tag: part.tag,
  digest: part.digest,
  specRevision: part.specRevision,
  unchanged: part.isUnchanged
})

const viewPart = (state: DeploymentState, part: Part): ServicePart => {
  const { rollout, releaseCommand, cache } = part
  const brought = { ...viewBrought(part), rollout: { ...rollout }, ...(cache && { cache: cache.state }) }
  if (releaseCommand === null || isLeftOut(state, part, releaseCommand)) return brought
  const { host, exitCode, log } = releaseCommand
  return { ...brought, releaseCommand: { state: releaseCommand.state, host, exitCode, log: [...log] } }
}

/** It has not run and never will; a plan shows those that would. */
const isLeftOut = ({ phase, mode }: DeploymentState, part: Part, { state }: ReleaseCommand): boolean =>
  state === 'pending' && (part.isUnchanged || (phase === 'ended' && mode !== 'plan'))

/** Only where it has something to say. */
const viewPause = ({ phase, cause, pausedUntilMs }: DeploymentState): Pick<DeploymentView, 'pause'> =>
  phase === 'paused' && cause !== null && pausedUntilMs !== null
    ? { pause: { reason: cause, untilMs: pausedUntilMs } }
    : {}

const viewTarget = (
  state: DeploymentState,
  target: Target,
  latest: ProgressView | undefined,
  steps: readonly StepReceipt[]
): TargetView => {
  const progress = target.inFlight === null ? undefined : latest
  const servingRelease = servedBy(state, target)
  return {
    service: target.service,
    host: target.host,
    agent: target.agent,
    state: target.state,
    serving: target.serving,
    ...(servingRelease === null ? {} : { servingRelease }),
    batch: target.batch,
    ...(target.reason === null ? {} : { reason: target.reason }),
    ...(target.code === null ? {} : { code: target.code }),
    ...(target.log.length === 0 ? {} : { log: [...target.log] }),
    ...(progress === undefined ? {} : { progress }),
    ...(steps.length === 0 ? {} : { steps: [...steps] }),
    ...(target.plan === null ? {} : { plan: structuredClone(target.plan) }),
    ...viewSources(target),
    ...(target.state === 'released' && target.traffic !== undefined
      ? { traffic: structuredClone(target.traffic) }
      : {})
  }
}

const viewSources = ({ source, failedSources }: Target): Pick<TargetView, 'source' | 'failedSources'> => ({
  ...(source === undefined ? {} : { source: source && sourceText(source) }),
  ...(failedSources === undefined
    ? {}
    : { failedSources: failedSources.map((one) => ({ ...one, source: sourceText(one.source) })) })
})

/** Which release answers there; null: none, or nobody has said which. */
const servedBy = ({ parts }: DeploymentState, { serving, service, former }: Target): number | null => {
  if (serving === 'old') return former
  return serving === 'new' ? (parts.find((part) => part.service === service)?.release ?? null) : null
}

/** Which batch switches, or whose release command runs. */
export type Turn = { batch: number; service: DeploymentView['service'] | undefined }

export const turnOf = (state: DeploymentState): Turn => {
  const { batch, parts, targets, phase } = state
  if (phase === 'preparing')
    return {
      batch,
      service: parts.find(({ releaseCommand }) => releaseCommand?.state === 'running')?.service
    }
  return { batch, service: targets.find((target) => target.batch === batch)?.service }
}

/** What changed between two views, whose targets stand in the same order, in the order in which people want to read it. @param at RFC 3339 */
export const announcements = (
  before: { view: DeploymentView; turn: Turn } | undefined,
  { view: after, turn }: { view: DeploymentView; turn: Turn },
  at: string
): DeploymentEvent[] => {
  if (before === undefined) {
    const first: DeploymentEvent[] = [{ at, type: 'deployment', deployment: after }]
    return after.phase === 'ended' ? [...first, { at, type: 'ended', deployment: after }] : first
  }
  const { id, phase } = after
  const events: DeploymentEvent[] = []
  const isOtherTurn = before.turn.batch !== turn.batch || before.turn.service !== turn.service
  if (phase !== before.view.phase || (isOtherTurn && phase !== 'ended'))
    events.push({ at, type: 'phase', id, phase, ...shownTurn(phase, turn) })
  for (const [position, target] of after.targets.entries())
    if (isChanged(before.view.targets[position], target)) events.push({ at, type: 'target', id, target })
  // until when it holds, and why
  if (phase === 'paused' && before.view.phase !== 'paused')
    events.push({ at, type: 'deployment', deployment: after })
  // fetching an image may take minutes
  else if (phase === 'requested' && isCacheMoved(before.view, after))
    events.push({ at, type: 'deployment', deployment: after })
  for (const text of after.warnings.slice(before.view.warnings.length))
    events.push({ at, type: 'warning', id, text })
  if (phase === 'ended' && before.view.phase !== 'ended')
    events.push({ at, type: 'ended', deployment: after })
  return events
}

const isCacheMoved = (before: DeploymentView, { services }: DeploymentView): boolean =>
  services.some(({ cache }, position) => cache !== before.services[position]?.cache)

const shownTurn = (phase: DeploymentView['phase'], { batch, service }: Turn) => {
  const isShown = service !== undefined && (phase === 'rolling' || phase === 'preparing')
  return { batch: phase === 'rolling' ? batch : null, ...(isShown && { service }) }
}

const isChanged = (before: TargetView | undefined, after: TargetView): boolean =>
  before?.state !== after.state || before.reason !== after.reason || before.serving !== after.serving
