// Which notices does a change give? Decided from how the deployment looked before and after one step, and from which
// hosts were found lost or back. Whom it is told is asked here too; in which words a chat is told, tell-slack.ts knows.
import type {
  DeploymentNotice,
  DeploymentView,
  HostsNotice,
  Notice,
  NoticeType,
  TargetView
} from '../../api/schemas.ts'

/** Hosts named in one notice: receivers want small bodies, and a reader wants the first few. */
const maxHosts = 50
/** Characters of one reason; a host may write long ones. */
const maxReasonChars = 500

/** Also those that were left out because they were away: they run what they ran. */
const unwellStates: readonly TargetView['state'][] = ['not-ready', 'failed', 'unknown', 'skipped']

/**
 * Convergence repairs hosts by itself and tells only when it gives up; plans and rehearsals change nothing, and
 * whoever asked for one waits for it.
 * @param before undefined: the deployment begins with this step
 */
export const deploymentNotices = (
  before: DeploymentView | undefined,
  after: DeploymentView,
  atMs: number
): DeploymentNotice[] => {
  if (after.mode !== 'deploy' && after.mode !== 'remove') return []
  const tell = (type: DeploymentNotice['type']): DeploymentNotice[] => [
    { type, timestamp: timeOf(atMs), data: dataOf(after) }
  ]
  if (after.phase === 'ended') {
    return before?.phase === 'ended' || after.outcome === null ? [] : tell(`deployment.${after.outcome}`)
  }
  if (before === undefined) return tell('deployment.started')
  return after.phase === 'paused' && before.phase !== 'paused' ? tell('deployment.paused') : []
}

const dataOf = (view: DeploymentView): DeploymentNotice['data'] => {
  const unwell = view.targets.filter(({ state }) => unwellStates.includes(state))
  return {
    deployment: view.id,
    mode: view.mode,
    environment: view.environment,
    services: view.services.map(({ service, release, previousRelease, repository, tag, digest }) => ({
      service,
      release,
      previousRelease,
      repository,
      tag,
      digest
    })),
    outcome: view.outcome,
    reason: shortened(view.reason ?? view.pause?.reason ?? null),
    requestedBy: view.requestedBy,
    build: view.build,
    requestedAt: timeOf(view.requestedAtMs),
    endedAt: view.endedAtMs === null ? null : timeOf(view.endedAtMs),
    hosts: unwell.slice(0, maxHosts).map(({ host, service, state, serving, reason }) => ({
      host,
      service,
      state,
      serving,
      reason: shortened(reason ?? null)
    })),
    hostsLeftOut: Math.max(0, unwell.length - maxHosts)
  }
}

type Away = {
  environment: HostsNotice['data']['environment']
  host: HostsNotice['data']['hosts'][number]['host']
  agent: HostsNotice['data']['hosts'][number]['agent']
  lastSeenAtMs: number | null
}
/** One notice per environment, however many hosts are lost, or back, at once. */
export const hostNotices = (
  type: HostsNotice['type'],
  hosts: readonly Away[],
  atMs: number
): HostsNotice[] => {
  const environments = [...new Set(hosts.map(({ environment }) => environment))]
  return environments.map((environment) => {
    const here = hosts.filter((one) => one.environment === environment)
    const named = here.slice(0, maxHosts).map(({ host, agent, lastSeenAtMs }) => ({
      host,
      agent,
      lastSeenAt: lastSeenAtMs === null ? null : timeOf(lastSeenAtMs)
    }))
    const hostsLeftOut = here.length - named.length
    return { type, timestamp: timeOf(atMs), data: { environment, hosts: named, hostsLeftOut } }
  })
}

type GivenUp = Extract<Notice, { type: 'convergence.given-up' }>
/** A host that could not be brought to the current release, after the last try. */
export const givenUpNotice = (data: GivenUp['data'], atMs: number): GivenUp => ({
  type: 'convergence.given-up',
  timestamp: timeOf(atMs),
  data: { ...data, reason: shortened(data.reason) }
})

/** Whether a webhook asked for this. Empty lists: for everything. */
export const isWanted = (
  webhook: { environments: readonly string[]; events: readonly NoticeType[] },
  { type, data }: Notice
): boolean => {
  if (type === 'webhook.test') return true
  const isHere = webhook.environments.length === 0 || webhook.environments.includes(data.environment)
  return isHere && (webhook.events.length === 0 || webhook.events.includes(type))
}

const timeOf = (atMs: number): string => new Date(atMs).toISOString()

const shortened = <T extends string | null>(text: T): T =>
  (text !== null && text.length > maxReasonChars ? `${text.slice(0, maxReasonChars - 1)}…` : text) as T
