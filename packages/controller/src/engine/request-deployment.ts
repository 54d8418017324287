// From a request of the API to the first event of a deployment: does everything named exist, is the service free,
// which release is meant, on which hosts. Writes nothing; refuses with ApiError and says what exists.
import type { AgentId, DeploymentId, ServiceSpec } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployRequest } from '../api/schemas.ts'
import type { CurrentRelease, Requested, Timing } from '../core/deployment/state.ts'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import type { AgentRow, Counters, Reads, ReleaseRow } from '../ports.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'

export type RequestContext = {
  tx: Reads
  id: DeploymentId
  nowMs: number
  counters: Counters
  lostAfterMs: number
  isConnected(agent: AgentId): boolean
}

/** A command must reach its host and be begun within this; past `lostAfterMs`, so that a lost host is judged first. */
const startWithinMs = 2 * 60_000
const resolveLimitMs = 60_000
/** Beside what the spec itself allows for stopping, becoming healthy and being watched. */
const runLimitMs = 15 * 60_000
const reportGraceMs = 60_000
const revertWithinMs = 7 * 24 * 60 * 60_000

export const describeRequest = async (
  request: DeployRequest,
  context: RequestContext
): Promise<Requested> => {
  const { tx, id, nowMs, counters } = context
  const { service, environment } = request
  await requireEnvironment(tx, environment)
  await requireUnlocked(tx, request)
  const current = await tx.currentRelease(environment, service)
  const wanted = await describeWanted(tx, request, current, counters)
  const spec = await requireSpec(tx, request, wanted.specRevision)
  const agents = chooseTargets(await tx.agents({ environment }), spec.spec)
  return {
    kind: 'requested',
    atMs: nowMs,
    id,
    service,
    environment,
    ...wanted,
    repository: wanted.repository ?? spec.spec.image.repository,
    specRevision: spec.revision,
    current: current === undefined ? null : asCurrent(current),
    recreate: request.recreate,
    replace: request.replace,
    offline: request.offline,
    rollout: {
      parallelism: spec.spec.update.parallelism,
      delayMs: spec.spec.update.delayMs,
      maxFailureRatio: spec.spec.update.maxFailureRatio
    },
    keepImages: spec.spec.keepImages,
    timing: timingOf(spec.spec, context.lostAfterMs),
    knownTags: await listKnownTags(tx, request),
    warnings: warningsOf(spec.spec),
    targets: describeTargets(agents, request, context)
  }
}

/** Enough to recognise a typing mistake by. */
const maxKnownTags = 10

const listKnownTags = async (tx: Reads, { environment, service }: DeployRequest): Promise<string[]> => {
  const releases = await tx.releases({ environment, service, limit: 100 })
  return [...new Set(releases.flatMap(({ tag }) => tag ?? []))].slice(0, maxKnownTags)
}

/** @throws ApiError `locked`, with who holds it */
export const requireUnlocked = async (tx: Reads, request: DeployRequest): Promise<void> => {
  const lock = await tx.lock(request.environment, request.service)
  if (lock === undefined) return
  const holder = await tx.deployment(lock.deployment)
  const { deployment, holder: who, sinceMs } = lock
  const since = new Date(sinceMs).toISOString()
  throw new ApiError(
    'locked',
    `${request.service} in ${request.environment} is being deployed by ${who} since ${since} (${deployment})`,
    {
      lock: {
        deployment,
        holder: who,
        sinceMs,
        release: holder?.release ?? 1,
        reason: null,
        service: request.service
      }
    }
  )
}

type Wanted = Pick<Requested, 'release' | 'tag' | 'digest'> & {
  /** undefined: what the latest spec says. */
  repository: string | undefined
  specRevision: number | undefined
}

const describeWanted = async (
  tx: Reads,
  request: DeployRequest,
  current: ReleaseRow | undefined,
  counters: Counters
): Promise<Wanted> => {
  const { what } = request
  const fresh = { release: counters.release + 1, repository: undefined, specRevision: undefined }
  switch (what.by) {
    case 'tag':
      return { ...fresh, tag: what.tag, digest: null }
    case 'digest':
      return { ...fresh, tag: null, digest: what.digest }
    case 'rollback': {
      const former = await findFormer(tx, request, what.release, current)
      const { number: release, tag, digest, repository, specRevision } = former
      return { release, tag, digest, repository, specRevision }
    }
    case 'promote':
    case 'current':
    case 'nothing':
      throw new ApiError('invalid-request', `a deployment by ${what.by} is not possible`)
    default:
      return what satisfies never
  }
}

/** The release asked for; or the newest good one below the current one. */
const findFormer = async (
  tx: Reads,
  { environment, service }: DeployRequest,
  number: number | null,
  current: ReleaseRow | undefined
): Promise<ReleaseRow> => {
  const releases = await tx.releases({ environment, service })
  const known = releases.map((row) => String(row.number))
  if (number !== null) {
    const asked = releases.find((row) => row.number === number)
    if (asked !== undefined) return asked
    throw new ApiError('unknown-release', `${service} in ${environment} has no release ${number}`, { known })
  }
  const former = releases.find(
    (row) => row.outcome === 'succeeded' && current !== undefined && row.number < current.number
  )
  if (former !== undefined) return former
  const now =
    current === undefined ? 'no release has succeeded yet' : `release ${current.number} is the first good one`
  throw new ApiError('nothing-to-roll-back-to', `${service} in ${environment}: ${now}`, { known })
}

const asCurrent = (row: ReleaseRow): CurrentRelease | null =>
  row.digest === null
    ? null
    : {
        release: row.number,
        repository: row.repository,
        digest: row.digest,
        specRevision: row.specRevision
      }

/** @throws ApiError `no-targets`, `no-agent-connected` */
const describeTargets = (
  agents: AgentRow[],
  { environment, service, offline }: DeployRequest,
  context: RequestContext
): Requested['targets'] => {
  if (agents.length === 0) {
    const detail = `no active host of ${environment} meets the placement of ${service}`
    throw new ApiError('no-targets', detail)
  }
  const targets = agents.map(({ id, hostName }) => ({
    agent: id,
    host: hostName,
    isConnected: context.isConnected(id)
  }))
  if (offline === 'skip' && targets.every((target) => !target.isConnected)) {
    const known = targets.map(({ host }) => host)
    throw new ApiError('no-agent-connected', `none of the hosts of ${service} is connected`, { known })
  }
  return targets
}

const timingOf = (spec: ServiceSpec, lostAfterMs: number): Timing => ({
  lostAfterMs,
  startWithinMs: Math.max(startWithinMs, 2 * lostAfterMs),
  resolveLimitMs,
  runLimitMs:
    runLimitMs +
    spec.stopGracePeriodMs +
    (spec.healthyTimeoutMs ?? 0) +
    spec.update.monitorMs +
    spec.drainTimeoutMs,
  reportGraceMs,
  revertWithinMs
})

const warningsOf = (spec: ServiceSpec): string[] =>
  spec.update.failureAction === 'pause'
    ? ['failure_action pause is not supported yet: a failure reverts the deployment']
    : []
