// How a deployment that ended, or that nobody knows the end of, is told: the text for people and the document of
// `--output json`, whose shape scripts depend on. Pure.
import type { DeploymentView, Problem, TargetView } from '../api/schemas.ts'
import { type ExitCode, exitCodeOfOutcome, exitCodes, type SeenOutcome } from './exit-codes.ts'
import { formatDigest, formatDuration, formatText } from './format-values.ts'
import { renderTable } from './render-table.ts'
import { type Colors, colorState } from './state-colors.ts'
import type { WaitEnd } from './wait-for-deployment.ts'

/** Which deployment was asked for; all that is known when there is none. */
export type Asked = { service: string | null; environment: string | null }

/** The document of `deploy`, `rollback`, `attach` and `cancel`. `outcome` null: still going on (`--detach`). */
export function resultDocument(deployment: DeploymentView, outcome: SeenOutcome | null, why: string | null) {
  const { id, service, environment, release, previousRelease, repository, tag, digest, unchanged } =
    deployment
  return {
    id,
    outcome,
    reason: why ?? deployment.reason,
    service,
    environment,
    release,
    previousRelease,
    repository,
    tag,
    digest,
    unchanged,
    phase: deployment.phase,
    requestedAt: timeOf(deployment.requestedAtMs),
    endedAt: timeOf(deployment.endedAtMs),
    targets: deployment.targets.map(({ host, state, serving, reason, code, log }) => ({
      host,
      state,
      serving,
      ...(reason === undefined ? {} : { reason }),
      ...(code === undefined ? {} : { code }),
      ...(log === undefined ? {} : { log })
    })),
    warnings: deployment.warnings
  }
}

/** The same document when no deployment was made, or none is known. */
export function emptyDocument(
  asked: Asked,
  outcome: 'refused' | 'unknown',
  reason: string,
  problem: Problem | null
) {
  return {
    id: null,
    outcome,
    reason,
    ...asked,
    release: null,
    digest: null,
    targets: [],
    warnings: [],
    ...(problem === null ? {} : { code: problem.code }),
    ...(problem?.lock === undefined ? {} : { lock: problem.lock }),
    ...(problem?.known === undefined ? {} : { known: problem.known })
  }
}

export function exitCodeOfEnd(end: WaitEnd): ExitCode {
  if (end.kind === 'unknown' || end.deployment.outcome === null) return exitCodes.unknown
  return exitCodeOfOutcome(end.deployment.outcome)
}

/** The final table. */
export function renderResult(deployment: DeploymentView, colors: Colors): string {
  const { outcome, reason, targets, warnings } = deployment
  const head = outcome === null ? deployment.phase : outcome
  const summary = `${colorState(colors, head)}: ${describeRelease(deployment)}${tookOf(deployment)}`
  const lines = [
    summary,
    ...(reason === null ? unchangedOf(deployment) : [formatText(reason)]),
    ...warnings.map((warning) => `warning: ${formatText(warning)}`)
  ]
  const table = targets.length === 0 ? '' : `\n${renderTargets(targets, colors)}`
  return `${lines.join('\n')}\n${table}${targets.map(renderLog).join('')}`
}

/** What to say, on stderr, when the end is not known: never more than what is known. */
export function renderUnknown(end: Extract<WaitEnd, { kind: 'unknown' }>, asked: Asked): string[] {
  if (end.deployment !== null) {
    const { id } = end.deployment
    return [
      `stopped waiting: ${end.why}`,
      `the deployment goes on without this command; how it ends is not known here`,
      `wait for it again with: longshore attach ${id}`
    ]
  }
  const look =
    asked.service === null || asked.environment === null
      ? 'longshore deployments'
      : `longshore deployments --env ${asked.environment} --service ${asked.service}`
  return [
    `stopped waiting: ${end.why}`,
    'the request was on its way and was not answered; whether a deployment was begun is not known here',
    `look with: ${look}`
  ]
}

const unchangedOf = ({ unchanged }: DeploymentView): string[] =>
  unchanged ? ['every host ran it already; nothing was restarted'] : []

function describeRelease({ service, environment, release, tag, digest, id }: DeploymentView): string {
  const image = [tag, digest === null ? null : formatDigest(digest)].filter((part) => part !== null).join(' ')
  return `${service} in ${environment}, release ${String(release)}${image === '' ? '' : ` (${image})`}, deployment ${id}`
}

const tookOf = ({ endedAtMs, requestedAtMs }: DeploymentView): string =>
  endedAtMs === null ? '' : `, ${formatDuration(endedAtMs - requestedAtMs)}`

function renderTargets(targets: readonly TargetView[], colors: Colors): string {
  const rows = targets.map(({ host, state, serving, reason }) => [host, state, serving, reason ?? ''])
  return renderTable(['HOST', 'STATE', 'SERVING', 'REASON'], rows, (padded, column, cell) =>
    column === 1 ? colorState(colors, cell, padded) : padded
  )
}

const renderLog = ({ host, log }: TargetView): string =>
  log === undefined || log.length === 0
    ? ''
    : `\nlast lines of the container on ${host}:\n${log.map((line) => `  | ${formatText(line)}\n`).join('')}`

const timeOf = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString())
