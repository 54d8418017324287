// A deployment as the API shows it, and what to announce when it changed. Progress comes from memory.
import type { DeploymentEvent, DeploymentView, ProgressView, TargetView } from '../api/schemas.ts'
import { type DeploymentState, previousRelease, type Target } from '../core/deployment/state.ts'
import type { DeploymentRow } from '../ports.ts'

/** @returns the latest progress of the command, if any arrived since it was sent */
export type ProgressOf = (target: Target) => ProgressView | undefined

/** `state` of a row is what the machine left there. */
export const stateOf = (row: DeploymentRow): DeploymentState => row.state as DeploymentState

export const viewDeployment = (row: DeploymentRow, progressOf: ProgressOf): DeploymentView => {
  const state = stateOf(row)
  const part = {
    service: row.service,
    release: state.release,
    previousRelease: previousRelease(state),
    repository: state.repository,
    tag: state.tag,
    digest: state.digest,
    specRevision: state.specRevision,
    unchanged: state.isUnchanged
  }
  return {
    id: row.id,
    mode: 'deploy',
    ...part,
    services: [part],
    environment: row.environment,
    phase: state.phase,
    outcome: state.outcome,
    reason: state.reason,
    what: row.what,
    isCancelRequested: state.cancelledBy !== null,
    requestedBy: row.requestedBy,
    requestReason: null,
    attemptOf: null,
    requestedAtMs: row.requestedAtMs,
    endedAtMs: row.endedAtMs,
    targets: state.targets.map((target) => viewTarget(row, target, progressOf)),
    warnings: [...state.warnings]
  }
}

const viewTarget = ({ service }: DeploymentRow, target: Target, progressOf: ProgressOf): TargetView => {
  const progress = target.inFlight === null ? undefined : progressOf(target)
  return {
    service,
    host: target.host,
    agent: target.agent,
    state: target.state,
    serving: target.serving,
    batch: target.batch,
    ...(target.reason === null ? {} : { reason: target.reason }),
    ...(target.code === null ? {} : { code: target.code }),
    ...(target.log.length === 0 ? {} : { log: [...target.log] }),
    ...(progress === undefined ? {} : { progress })
  }
}

/** What changed between two views, in the order in which people want to read it. @param at RFC 3339 */
export const announcements = (
  before: DeploymentView | undefined,
  after: DeploymentView,
  batch: { before: number; after: number },
  at: string
): DeploymentEvent[] => {
  if (before === undefined) {
    const first: DeploymentEvent[] = [{ at, type: 'deployment', deployment: after }]
    return after.phase === 'ended' ? [...first, { at, type: 'ended', deployment: after }] : first
  }
  const { id, phase } = after
  const events: DeploymentEvent[] = []
  if (phase !== before.phase || batch.before !== batch.after) {
    events.push({ at, type: 'phase', id, phase, batch: phase === 'rolling' ? batch.after : null })
  }
  for (const target of after.targets) {
    const former = before.targets.find(({ agent }) => agent === target.agent)
    if (isChanged(former, target)) events.push({ at, type: 'target', id, target })
  }
  for (const text of after.warnings.slice(before.warnings.length))
    events.push({ at, type: 'warning', id, text })
  if (phase === 'ended' && before.phase !== 'ended') events.push({ at, type: 'ended', deployment: after })
  return events
}

const isChanged = (before: TargetView | undefined, after: TargetView): boolean =>
  before?.state !== after.state || before.reason !== after.reason || before.serving !== after.serving
