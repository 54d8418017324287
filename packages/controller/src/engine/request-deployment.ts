// From a request of the API to the first event of a deployment: does everything named exist, are the services free,
// which releases are meant, on which hosts. Writes nothing; refuses with ApiError and says what exists.
import type { AgentId, DeploymentId, Digest, EnvironmentName, ServiceSpec } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployRequest } from '../api/schemas.ts'
import type { Requested, RequestedPart } from '../core/deployment/events.ts'
import type { CurrentRelease, Refusal, Stored, Timing } from '../core/deployment/state.ts'
import { chooseCache } from '../core/requests/choose-cache.ts'
import { chooseSources } from '../core/requests/choose-sources.ts'
import { type Wish, wishesOf } from '../core/requests/wishes.ts'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import type { AgentRow, EnvironmentRow, Reads, ReleaseRow, SpecRow } from '../ports.ts'
import { type Asked, describeWanted, findWrongWay } from './describe-wanted.ts'
import type { KnownArtifacts } from './find-artifacts.ts'
import { findFrozen } from './freezes.ts'
import { describeUpgrade } from './request-upgrade.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'

export type RequestContext = {
  tx: Reads
  id: DeploymentId
  nowMs: number
  lostAfterMs: number
  pauseLimitMs: number
  artifacts: KnownArtifacts
  isConnected(agent: AgentId): boolean
}

type Described = Pick<Requested, 'refusals' | 'warnings' | 'targets'> & {
  part: RequestedPart
  spec: ServiceSpec
}

export const describeRequest = async (
  request: DeployRequest,
  context: RequestContext
): Promise<Requested> => {
  const { tx, id, nowMs } = context
  const environment = await requireEnvironment(tx, request.environment)
  if (request.upgrade !== undefined) return describeUpgrade(request, request.upgrade, environment, context)
  const described = await describeAll(wishesOf(request), (wish) =>
    describePart(request, { ...wish, environment: environment.name }, environment, context)
  )
  const specs = described.map(({ spec }) => spec)
  return {
    kind: 'requested',
    atMs: nowMs,
    id,
    environment: environment.name,
    mode: request.mode,
    offline: request.offline,
    timing: timingOf(specs, context),
    warnings: described.flatMap(({ warnings }) => warnings),
    refusals: described.flatMap(({ refusals }) => refusals),
    parts: described.map(({ part }) => part),
    targets: described.flatMap(({ targets }) => targets)
  }
}

/** All that is wrong with any service is said at once. @throws ApiError of the first, with the `errors` of each */
const describeAll = async (
  wishes: readonly Wish[],
  describe: (wish: Wish) => Promise<Described>
): Promise<Described[]> => {
  const described: Described[] = []
  const refused: { service: Wish['service']; error: ApiError }[] = []
  for (const wish of wishes) {
    try {
      described.push(await describe(wish))
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      refused.push({ service: wish.service, error })
    }
  }
  const [first] = refused
  if (first === undefined) return described
  if (wishes.length === 1) throw first.error
  const errors = refused.map(({ service, error }) => ({ service, code: error.code, detail: error.message }))
  const detail = errors.map((one) => one.detail).join('; ')
  throw new ApiError(first.error.code, detail, { ...first.error.extra, errors })
}

const describePart = async (
  request: DeployRequest,
  asked: Asked,
  { promotesFrom, sources }: EnvironmentRow,
  context: RequestContext
): Promise<Described> => {
  const { tx } = context
  const { environment, service } = asked
  await requireSpec(tx, asked)
  const refusals = await judgeRequest(tx, request.mode, asked, promotesFrom)
  const current = await tx.currentRelease(environment, service)
  const counters = await tx.counters(environment, service)
  const ground = { current, nextRelease: counters.release + 1 }
  const wanted = await describeWanted(tx, asked, ground)
  const row = await requireSpec(tx, asked, wanted.specRevision)
  const agents = chooseTargets(await tx.agents({ environment }), row.spec)
  const artifact = artifactFor(wanted.digest, context.artifacts.get(service))
  const part: RequestedPart = {
    service,
    generation: request.mode === 'plan' ? counters.generation : counters.generation + 1,
    current: current === undefined ? null : asCurrent(current),
    release: wanted.release,
    tag: wanted.tag,
    digest: wanted.digest,
    repository: wanted.repository ?? row.spec.image.repository,
    sources: chooseSources({
      service: row.spec.sources,
      environment: sources,
      hasArtifact: artifact !== null
    }),
    artifact,
    cache: request.mode === 'remove' ? null : chooseCache(row.spec, agents),
    recreate: request.recreate,
    replace: request.replace,
    knownTags: await listKnownTags(tx, asked),
    ...partOfSpec(row),
    removal: request.mode === 'remove' ? { containers: null } : null,
    releaseCommand: isPrepared(request, asked) ? (row.spec.releaseCommand ?? null) : null
  }
  const targets = describeTargets(agents, asked, request, context)
  return { part, spec: row.spec, refusals, warnings: wanted.warnings, targets }
}

/** What was found before may be another image than what is wanted by now. */
const artifactFor = (digest: Digest | null, found: Stored | undefined): Stored | null =>
  found === undefined || (digest !== null && found.digest !== digest) ? null : found

/** What ran once for a release is not run again when the release comes back. */
const isPrepared = ({ mode }: DeployRequest, { what }: Asked): boolean =>
  (mode === 'deploy' || mode === 'plan') && what.by !== 'rollback' && what.by !== 'current'

/** What a spec revision says about the course of a deployment; one stored long ago does not know every key. */
export const partOfSpec = ({
  revision,
  spec
}: SpecRow): Pick<RequestedPart, 'specRevision' | 'rollout' | 'keepImages'> => {
  const { canary, parallelism, delayMs, maxFailureRatio, failureAction, canaryMaxErrorRatio } = spec.update
  return {
    specRevision: revision,
    rollout: {
      canary: canary ?? null,
      parallelism,
      delayMs,
      maxFailureRatio,
      failureAction,
      canaryMaxErrorRatio: canaryMaxErrorRatio ?? null
    },
    keepImages: spec.keepImages
  }
}

/** Enough to recognise a typing mistake by. */
const maxKnownTags = 10

const listKnownTags = async (tx: Reads, { environment, service }: Asked): Promise<string[]> => {
  const releases = await tx.releases({ environment, service, limit: 100 })
  return [...new Set(releases.flatMap(({ tag }) => tag ?? []))].slice(0, maxKnownTags)
}

/**
 * A plan changes nothing, so that nothing is in its way: it says what would refuse the real request.
 * @throws ApiError `frozen`, `promotion-required`, `locked`
 */
const judgeRequest = async (
  tx: Reads,
  mode: DeployRequest['mode'],
  asked: Asked,
  promotesFrom: EnvironmentName | null
): Promise<Refusal[]> => {
  const found = [await findFrozen(tx, asked), findWrongWay(asked, promotesFrom), await findLocked(tx, asked)]
  const objections = found.filter((error) => error !== undefined)
  const [first] = objections
  if (mode !== 'plan' && first !== undefined) throw first
  return objections.map(({ code, message }) => ({ code, detail: message }))
}

/** Code `locked`, with who holds the service; undefined: nobody does. */
const findLocked = async (
  tx: Reads,
  { environment, service }: Pick<Asked, 'environment' | 'service'>
): Promise<ApiError | undefined> => {
  const lock = await tx.lock(environment, service)
  if (lock === undefined) return undefined
  const { deployment, holder: who, sinceMs, reason } = lock
  const held = await tx.deploymentServices(deployment)
  const isPaused = (await tx.deployment(deployment))?.phase === 'paused'
  const release = held.find((one) => one.service === service)?.release ?? 1
  const since = new Date(sinceMs).toISOString()
  const why = reason === null ? '' : `: ${reason}`
  return new ApiError(
    'locked',
    `${service} in ${environment} is being deployed by ${who} since ${since} (${deployment}${isPaused ? ', paused' : ''})${why}`,
    { lock: { service: lock.service, deployment, holder: who, sinceMs, reason, release, isPaused } }
  )
}

/** @throws ApiError `locked`, with who holds it */
export const requireUnlocked = async (
  tx: Reads,
  named: Pick<Asked, 'environment' | 'service'>
): Promise<void> => {
  const locked = await findLocked(tx, named)
  if (locked !== undefined) throw locked
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

/** What is on no host can still be removed. @throws ApiError `no-targets`, `no-agent-connected` */
const describeTargets = (
  agents: AgentRow[],
  { environment, service }: Asked,
  { offline, mode }: DeployRequest,
  context: RequestContext
): Requested['targets'] => {
  if (agents.length === 0) {
    if (mode === 'remove') return []
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
  runLimitMs: Math.max(runLimitMs, ...specs.map(runLimitOf)),
  reportGraceMs,
  revertWithinMs,
  pauseLimitMs
})

const runLimitOf = (spec: ServiceSpec): number =>
  runLimitMs +
  spec.stopGracePeriodMs +
  (spec.healthyTimeoutMs ?? 0) +
  spec.update.monitorMs * (isCompared(spec) ? 2 : 1) +
  spec.drainTimeoutMs

/** It is watched twice: beside the old ones, and alone. */
const isCompared = ({ update }: ServiceSpec): boolean => (update.canaryMaxErrorRatio ?? null) !== null
