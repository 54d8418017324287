// Tables of what the controller has: environments, tokens, agents, services, deployments, releases. Pure.
import type {
  AgentView,
  ApiTokenView,
  DeploymentView,
  EnvironmentView,
  JoinTokenView,
  ReleaseView,
  ServicePart
} from '../api/schemas.ts'
import { describeSkew } from './describe-skew.ts'
import { formatAge, formatDigest, formatDuration, formatTime } from './format-values.ts'
import { renderTable } from './render-table.ts'
import { type Colors, paintColumn } from './state-colors.ts'

export function renderEnvironments(environments: readonly EnvironmentView[]): string {
  if (environments.length === 0) return 'no environments; make one with: longshore environments create NAME\n'
  const isLocked = environments.some(({ freeze }) => freeze !== null)
  const isSourced = environments.some(({ sources }) => sources !== null)
  const rows = environments.map(({ name, agents, heal, promotesFrom, sources, createdAtMs, freeze }) => [
    name,
    String(agents),
    heal ? 'on' : 'off',
    promotesFrom ?? '-',
    ...(isSourced ? [sources?.join(', ') ?? '-'] : []),
    formatTime(createdAtMs),
    ...(isLocked ? [freeze === null ? '' : `by ${freeze.holder}: ${freeze.reason}`] : [])
  ])
  const head = [
    'ENVIRONMENT',
    'AGENTS',
    'HEAL',
    'PROMOTES FROM',
    ...(isSourced ? ['SOURCES'] : []),
    'CREATED',
    ...(isLocked ? ['LOCKED'] : [])
  ]
  return renderTable(head, rows)
}

export function renderAgents(agents: readonly AgentView[], colors: Colors, nowMs: number): string {
  if (agents.length === 0)
    return 'no agents that this token may read; let a host join with: longshore join-token create --env NAME\n'
  const rows = agents.map((agent) => [
    agent.name,
    agent.environment,
    agent.state,
    agent.state === 'connected' ? 'now' : formatAge(agent.lastSeenAtMs, nowMs),
    agent.agentVersion ?? '-',
    agent.facts?.engineVersion ?? '-',
    agent.policy?.state ?? '-',
    formatLabels(agent.labels),
    agent.reason ?? [...troublesOf(agent), skewOf(agent)].filter((one) => one !== '').join('; ')
  ])
  const head = ['HOST', 'ENVIRONMENT', 'STATE', 'SEEN', 'AGENT', 'ENGINE', 'POLICY', 'LABELS', 'REASON']
  return renderTable(head, rows, paintColumn(colors, 2))
}

/** Said only while the host is there to say it. */
const troublesOf = ({ state, inventory }: AgentView): string[] =>
  state !== 'connected' || inventory === null
    ? []
    : [
        ...(inventory.isEngineReachable ? [] : ['its Docker Engine does not answer']),
        ...(inventory.proxy?.state === 'down' ? [`HAProxy is down: ${inventory.proxy.detail}`] : [])
      ]

/** Agent -> how it is, without ages. */
export const agentLines = (agents: readonly AgentView[]): Map<string, string> =>
  new Map(
    agents.map((agent) => {
      const why = agent.reason ?? troublesOf(agent).join('; ')
      const version = agent.agentVersion === null ? '' : `, agent ${agent.agentVersion}`
      return [
        `${agent.name} in ${agent.environment}`,
        `${agent.state}${version}${why === '' ? '' : `, ${why}`}`
      ]
    })
  )

const skewOf = ({ versionSkew }: AgentView): string =>
  versionSkew == null || versionSkew === 'none' ? '' : describeSkew(versionSkew)

export function renderJoinTokens(tokens: readonly JoinTokenView[], colors: Colors, nowMs: number): string {
  if (tokens.length === 0) return 'no join tokens\n'
  const rows = tokens.map((token) => [
    token.id,
    token.environment,
    joinTokenState(token, nowMs),
    `${String(token.usesCount)}${token.usesMax === null ? '' : ` of ${String(token.usesMax)}`}`,
    formatTime(token.expiresAtMs),
    token.replace ? 'yes' : 'no',
    formatLabels(token.labels)
  ])
  const head = ['ID', 'ENVIRONMENT', 'STATE', 'USED', 'EXPIRES', 'REPLACE', 'LABELS']
  return renderTable(head, rows, paintColumn(colors, 2))
}

function joinTokenState(token: JoinTokenView, nowMs: number): string {
  if (token.revokedAtMs !== null) return 'revoked'
  if (token.expiresAtMs <= nowMs) return 'expired'
  return token.usesMax !== null && token.usesCount >= token.usesMax ? 'used up' : 'active'
}

export function renderApiTokens(tokens: readonly ApiTokenView[], colors: Colors, nowMs: number): string {
  const rows = tokens.map((token) => [
    token.id,
    token.name,
    apiTokenState(token, nowMs),
    token.expiresAtMs === null ? 'never' : formatTime(token.expiresAtMs),
    formatAge(token.lastUsedAtMs, nowMs),
    token.allow.join(' ')
  ])
  return renderTable(['ID', 'NAME', 'STATE', 'EXPIRES', 'USED', 'ALLOW'], rows, paintColumn(colors, 2))
}

function apiTokenState(token: ApiTokenView, nowMs: number): string {
  if (token.revokedAtMs !== null) return 'revoked'
  return token.expiresAtMs !== null && token.expiresAtMs <= nowMs ? 'expired' : 'active'
}

export function renderDeployments(deployments: readonly DeploymentView[], colors: Colors): string {
  if (deployments.length === 0) return 'no deployments that fit and that this token may read\n'
  const rows = deployments.map((deployment) => [
    deployment.id,
    deployment.mode,
    deployment.environment,
    ofEach(deployment, ({ service }) => service),
    ofEach(deployment, ({ release }) => String(release)),
    ofEach(deployment, ({ tag, digest }) => tag ?? formatDigest(digest)),
    deployment.outcome ?? deployment.phase,
    formatTime(deployment.requestedAtMs),
    deployment.endedAtMs === null ? '-' : formatDuration(deployment.endedAtMs - deployment.requestedAtMs),
    deployment.requestedBy,
    noteOf(deployment)
  ])
  const head = [
    'ID',
    'MODE',
    'ENVIRONMENT',
    'SERVICE',
    'RELEASE',
    'IMAGE',
    'OUTCOME',
    'REQUESTED',
    'TOOK',
    'BY',
    'WHY'
  ]
  return renderTable(head, rows, paintColumn(colors, 6))
}

/** Deployment -> where it is. */
export const deploymentLines = (deployments: readonly DeploymentView[]): Map<string, string> =>
  new Map(
    deployments.map((deployment) => {
      const { id, mode, environment, outcome, phase, reason } = deployment
      const what = ofEach(deployment, ({ service, release }) => `${service} release ${String(release)}`)
      const why = reason === null ? '' : `: ${reason}`
      return [id, `${mode} ${what} in ${environment}: ${outcome ?? phase}${why}`]
    })
  )

const ofEach = ({ services }: DeploymentView, tell: (part: ServicePart) => string): string =>
  services.map(tell).join(', ')

const noteOf = ({ requestReason, build, attemptOf }: DeploymentView): string =>
  [
    requestReason,
    build === requestReason ? null : build,
    attemptOf === null ? null : `again after ${attemptOf}`
  ]
    .filter((part) => part !== null)
    .join('; ')

export function renderReleases(releases: readonly ReleaseView[], colors: Colors): string {
  if (releases.length === 0) return 'no releases that fit and that this token may read\n'
  const rows = releases.map((release) => [
    `${String(release.release)}${release.isCurrent ? ' (current)' : ''}`,
    release.outcome ?? 'in progress',
    release.tag ?? '-',
    formatDigest(release.digest),
    String(release.specRevision),
    release.isKept === null ? '-' : release.isKept ? 'yes' : 'no',
    formatTime(release.createdAtMs),
    release.createdBy,
    release.build ?? '-'
  ])
  const head = ['RELEASE', 'OUTCOME', 'TAG', 'DIGEST', 'SPEC', 'KEPT', 'CREATED', 'BY', 'BUILD']
  return renderTable(head, rows, paintColumn(colors, 1))
}

const formatLabels = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
