// How a deployment that ended, or that nobody knows the end of, is told: the text for people and the document of
// `--output json`, whose shape scripts depend on. Pure.
import type { DeploymentView, Problem, ServicePart, TargetView } from '../api/schemas.ts'
import { describeServing, hasSeveral, namesOf } from './describe-deployment.ts'
import { describeFailedSources, describeSource, hasOtherSources } from './describe-sources.ts'
import { describeTraffic } from './describe-traffic.ts'
import { type ExitCode, exitCodeOfOutcome, exitCodes, type SeenOutcome } from './exit-codes.ts'
import { formatDigest, formatDuration, formatText } from './format-values.ts'
import { renderTable } from './render-table.ts'
import { type Colors, colorState, paintColumn } from './state-colors.ts'
import type { WaitEnd } from './wait-for-deployment.ts'

/** Which deployment was asked for; all that is known when there is none. */
export type Asked = { service: string | null; environment: string | null }

/** The document of every command that waits for a deployment. `outcome` null: still going on (`--detach`). */
export function resultDocument(deployment: DeploymentView, outcome: SeenOutcome | null, why: string | null) {
  const { id, mode, service, environment, release, previousRelease, repository, tag, digest } = deployment
  return {
    id,
    mode,
    outcome,
    reason: why ?? deployment.reason,
    service,
    environment,
    release,
    previousRelease,
    repository,
    tag,
    digest,
    unchanged: deployment.unchanged,
    services: deployment.services,
    phase: deployment.phase,
    requestedBy: deployment.requestedBy,
    requestReason: deployment.requestReason,
    build: deployment.build,
    attemptOf: deployment.attemptOf,
    ...(deployment.attached === undefined ? {} : { attached: deployment.attached }),
    ...(deployment.pause === undefined ? {} : { pause: deployment.pause }),
    ...(deployment.refusals === undefined ? {} : { refusals: deployment.refusals }),
    requestedAt: timeOf(deployment.requestedAtMs),
    endedAt: timeOf(deployment.endedAtMs),
    // the agent's id and its latest progress are nobody's result
    targets: deployment.targets.map(({ agent: _agent, progress: _progress, ...target }) => target),
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
    ...(problem?.freeze === undefined ? {} : { freeze: problem.freeze }),
    ...(problem?.errors === undefined ? {} : { errors: problem.errors }),
    ...(problem?.known === undefined ? {} : { known: problem.known })
  }
}

export function exitCodeOfEnd(end: WaitEnd): ExitCode {
  if (end.kind === 'begun') return exitCodes.succeeded
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
    ...(hasSeveral(deployment) ? deployment.services.map(describePart) : []),
    ...(reason === null ? unchangedOf(deployment) : [formatText(reason)]),
    ...warnings.map((warning) => `warning: ${formatText(warning)}`),
    ...describeFailedSources(deployment).map((note) => `note: ${note}`)
  ]
  const table = targets.length === 0 ? '' : `\n${renderTargets(deployment, colors)}`
  const logs = [
    ...deployment.services.map(renderOutput),
    ...targets.map((target) => renderLog(deployment, target))
  ]
  return `${lines.join('\n')}\n${table}${logs.join('')}`
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

const unchangedOf = ({ services }: DeploymentView): string[] =>
  services.every(({ unchanged }) => unchanged) ? ['every host ran it already; nothing was restarted'] : []

const modeWords = {
  deploy: '',
  converge: 'convergence of ',
  rehearse: 'rehearsal of ',
  plan: 'plan of ',
  remove: 'removal of ',
  upgrade: 'upgrade of '
}

function describeRelease(deployment: DeploymentView): string {
  const { environment, mode, id, services } = deployment
  const [only] = services
  const release = only === undefined || hasSeveral(deployment) ? '' : `, ${describeImage(only)}`
  return `${modeWords[mode]}${namesOf(deployment)} in ${environment}${release}, deployment ${id}`
}

function describeImage({ release, tag, digest }: ServicePart): string {
  const image = [tag, digest === null ? null : formatDigest(digest)].filter((part) => part !== null).join(' ')
  return `release ${String(release)}${image === '' ? '' : ` (${image})`}`
}

const describePart = (part: ServicePart): string =>
  `  ${part.service}: ${describeImage(part)}${part.unchanged ? ', unchanged' : ''}`

const tookOf = ({ endedAtMs, requestedAtMs }: DeploymentView): string =>
  endedAtMs === null ? '' : `, ${formatDuration(endedAtMs - requestedAtMs)}`

function renderTargets(deployment: DeploymentView, colors: Colors): string {
  const isNamed = hasSeveral(deployment)
  const isSourced = hasOtherSources(deployment)
  const isMoved = deployment.targets.some(({ traffic }) => traffic !== undefined)
  const rows = deployment.targets.map((target) => [
    ...(isNamed ? [target.service] : []),
    target.host,
    target.state,
    describeServing(target),
    ...(isSourced ? [describeSource(target)] : []),
    ...(isMoved ? [describeTraffic(target)] : []),
    target.reason ?? ''
  ])
  const head = [
    ...(isNamed ? ['SERVICE'] : []),
    'HOST',
    'STATE',
    'SERVING',
    ...(isSourced ? ['IMAGE FROM'] : []),
    ...(isMoved ? ['TRAFFIC'] : []),
    'REASON'
  ]
  return renderTable(head, rows, paintColumn(colors, isNamed ? 2 : 1))
}

const renderLines = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `\n${title}:\n${lines.map((line) => `  | ${formatText(line)}\n`).join('')}`

function renderLog(deployment: DeploymentView, { service, host, log = [] }: TargetView): string {
  const whose = hasSeveral(deployment) ? `${service} on ${host}` : `the container on ${host}`
  return renderLines(`last lines of ${whose}`, log)
}

/** What a release command that did not succeed has said; its effects stay, and this may tell which they are. */
function renderOutput({ service, releaseCommand }: ServicePart): string {
  if (releaseCommand === undefined || releaseCommand.state === 'succeeded') return ''
  const { state, host, exitCode, log } = releaseCommand
  const where = host === null ? '' : ` on ${host}`
  const code = exitCode === null ? '' : `, exit code ${String(exitCode)}`
  return renderLines(`release command of ${service}${where}, ${state}${code}`, log)
}

const timeOf = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString())
