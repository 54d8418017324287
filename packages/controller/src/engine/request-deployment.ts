// From a request of the API to the first event of a deployment: does everything named exist, are the services free,
// which releases are meant, on which hosts. Writes nothing; refuses with ApiError and says what exists.
import type { AgentId, DeploymentId, ServiceName, ServiceSpec } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployRequest, DeployWhat } from '../api/schemas.ts'
import type { Requested, RequestedPart } from '../core/deployment/events.ts'
import type { CurrentRelease, Timing } from '../core/deployment/state.ts'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import type { AgentRow, Reads, ReleaseRow, SpecRow } from '../ports.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'

export type RequestContext = {
  tx: Reads
  id: DeploymentId
  nowMs: number
  lostAfterMs: number
  pauseLimitMs: number
  isConnected(agent: AgentId): boolean
}

/** One service of a request. */
type Asked = { environment: string; service: ServiceName; what: DeployWhat }
type Described = { part: RequestedPart; spec: ServiceSpec; targets: Requested['targets'] }

export const describeRequest = async (
  request: DeployRequest,
  context: RequestContext
): Promise<Requested> => {
  const { tx, id, nowMs } = context
  await requireEnvironment(tx, request.environment)
  const described: Described[] = []
  for (const asked of servicesOf(request)) {
    await requireUnlocked(tx, asked)
    described.push(await describePart(request, asked, context))
  }
  const specs = described.map(({ spec }) => spec)
  return {
    kind: 'requested',
    atMs: nowMs,
    id,
    environment: request.environment,
    mode: request.mode,
    offline: request.offline,
    timing: timingOf(specs, context),
    warnings: [],
    parts: described.map(({ part }) => part),
    targets: described.flatMap(({ targets }) => targets)
  }
}

const servicesOf = ({ environment, service, what, services }: DeployRequest): Asked[] =>
  (services ?? [{ service }]).map((one) => ({ environment, service: one.service, what: one.what ?? what }))

const describePart = async (
  request: DeployRequest,
  asked: Asked,
  context: RequestContext
): Promise<Described> => {
  const { tx } = context
  const { environment, service } = asked
  const current = await tx.currentRelease(environment, service)
  const counters = await tx.counters(environment, service)
  const wanted = await describeWanted(tx, asked, current, counters.release + 1)
  const row = await requireSpec(tx, asked, wanted.specRevision)
  const agents = chooseTargets(await tx.agents({ environment }), row.spec)
  const part: RequestedPart = {
    service,
    generation: counters.generation + 1,
    current: current === undefined ? null : asCurrent(current),
    release: wanted.release,
    tag: wanted.tag,
    digest: wanted.digest,
    repository: wanted.repository ?? row.spec.image.repository,
    recreate: request.recreate,
    replace: request.replace,
    knownTags: await listKnownTags(tx, asked),
    ...partOfSpec(row)
  }
  return { part, spec: row.spec, targets: describeTargets(agents, asked, request.offline, context) }
}

/** What a spec revision says about the course of a deployment; one stored long ago does not know every key. */
export const partOfSpec = ({
  revision,
  spec
}: SpecRow): Pick<RequestedPart, 'specRevision' | 'rollout' | 'keepImages'> => {
  const { canary, parallelism, delayMs, maxFailureRatio, failureAction } = spec.update
  return {
    specRevision: revision,
    rollout: { canary: canary ?? null, parallelism, delayMs, maxFailureRatio, failureAction },
    keepImages: spec.keepImages
  }
}

/** Enough to recognise a typing mistake by. */
const maxKnownTags = 10

const listKnownTags = async (tx: Reads, { environment, service }: Asked): Promise<string[]> => {
  const releases = await tx.releases({ environment, service, limit: 100 })
  return [...new Set(releases.flatMap(({ tag }) => tag ?? []))].slice(0, maxKnownTags)
}

/** @throws ApiError `locked`, with who holds it */
export const requireUnlocked = async (
  tx: Reads,
  { environment, service }: Pick<Asked, 'environment' | 'service'>
): Promise<void> => {
  const lock = await tx.lock(environment, service)
  if (lock === undefined) return
  const { deployment, holder: who, sinceMs, reason } = lock
  const held = await tx.deploymentServices(deployment)
  const release = held.find((one) => one.service === service)?.release ?? 1
  const since = new Date(sinceMs).toISOString()
  const why = reason === null ? '' : `: ${reason}`
  throw new ApiError(
    'locked',
    `${service} in ${environment} is being deployed by ${who} since ${since} (${deployment})${why}`,
    { lock: { service: lock.service, deployment, holder: who, sinceMs, reason, release } }
  )
}

type Wanted = Pick<RequestedPart, 'release' | 'tag' | 'digest'> & {
  /** undefined: what the latest spec says. */
  repository: string | undefined
  specRevision: number | undefined
}

const describeWanted = async (
  tx: Reads,
  asked: Asked,
  current: ReleaseRow | undefined,
  nextRelease: number
): Promise<Wanted> => {
  const { what } = asked
  const fresh = { release: nextRelease, repository: undefined, specRevision: undefined }
  switch (what.by) {
    case 'tag':
      return { ...fresh, tag: what.tag, digest: null }
    case 'digest':
      return { ...fresh, tag: null, digest: what.digest }
    case 'rollback': {
      const former = await findFormer(tx, asked, what.release, current)
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
  { environment, service }: Asked,
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

export const asCurrent = (row: ReleaseRow): CurrentRelease | null =>
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
  { environment, service }: Asked,
  offline: DeployRequest['offline'],
  context: RequestContext
): Requested['targets'] => {
  if (agents.length === 0) {
    const detail = `no active host of ${environment} meets the placement of ${service}`
    throw new ApiError('no-targets', detail)
  }
  const targets = agents.map(({ id, hostName }) => ({
    service,
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

/** A command must reach its host and be begun within this; past `lostAfterMs`, so that a lost host is judged first. */
const startWithinMs = 2 * 60_000
const resolveLimitMs = 60_000
/** Beside what the spec itself allows for stopping, becoming healthy and being watched. */
const runLimitMs = 15 * 60_000
const reportGraceMs = 60_000
const revertWithinMs = 7 * 24 * 60 * 60_000

/** The slowest service gives the measure. */
export const timingOf = (
  specs: ServiceSpec[],
  { lostAfterMs, pauseLimitMs }: Pick<RequestContext, 'lostAfterMs' | 'pauseLimitMs'>
): Timing => ({
  lostAfterMs,
  startWithinMs: Math.max(startWithinMs, 2 * lostAfterMs),
  resolveLimitMs,
  runLimitMs: Math.max(...specs.map(runLimitOf)),
  reportGraceMs,
  revertWithinMs,
  pauseLimitMs
})

const runLimitOf = (spec: ServiceSpec): number =>
  runLimitMs +
  spec.stopGracePeriodMs +
  (spec.healthyTimeoutMs ?? 0) +
  spec.update.monitorMs +
  spec.drainTimeoutMs
