// Deployments as they were stored before one could have several services, in the shape of today: a state or a
// `requested` event of one service becomes one part. Plain JSON on both sides, because a migration never changes.

type Json = Record<string, unknown>

/** What an environment's row said beside the state. */
export type StoredDeployment = { service: string; generation: number }

const pauseLimitMs = 3_600_000

export const upgradeState = (state: Json, stored: StoredDeployment): Json => {
  const { id, environment, phase, outcome, reason, cause, timing, cancelledBy, requestedAtMs } = state
  const { endedAtMs, batch, nextBatchAtMs, targets, warnings, resolve, isUnchanged } = state
  return {
    id,
    environment,
    mode: 'deploy',
    phase,
    outcome,
    reason,
    cause,
    parts: [{ ...partOf(state, stored), resolve, isUnchanged }],
    timing: { ...objectOf(timing), pauseLimitMs },
    cancelledBy,
    requestedAtMs,
    endedAtMs,
    batch,
    nextBatchAtMs,
    pausedUntilMs: null,
    refusals: [],
    targets: listOf(targets).map((target) => ({
      service: stored.service,
      ...target,
      isForgiven: false,
      plan: null
    })),
    warnings
  }
}

/** Events that name no command are as they were. */
export const upgradeEvent = (event: Json, stored: StoredDeployment): Json => {
  const { kind, atMs, id, environment, offline, timing, warnings, targets } = event
  if (kind === 'commandRefused' || kind === 'commandReported') return { ...event, service: stored.service }
  if (kind !== 'requested') return event
  return {
    kind,
    atMs,
    id,
    environment,
    mode: 'deploy',
    offline,
    timing: { ...objectOf(timing), pauseLimitMs },
    warnings,
    refusals: [],
    parts: [partOf(event, stored)],
    targets: listOf(targets).map((target) => ({ service: stored.service, ...target }))
  }
}

const partOf = (from: Json, { service, generation }: StoredDeployment): Json => {
  const { release, current, repository, tag, digest, specRevision, recreate, replace, keepImages } = from
  const { rollout, knownTags } = from
  return {
    service,
    generation,
    release,
    current,
    repository,
    tag,
    digest,
    specRevision,
    recreate,
    replace,
    rollout: { canary: null, failureAction: 'rollback', ...objectOf(rollout) },
    keepImages,
    knownTags,
    releaseCommand: null,
    removal: null
  }
}

const objectOf = (value: unknown): Json => (typeof value === 'object' ? { ...value } : {})

const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.map(objectOf) : [])
