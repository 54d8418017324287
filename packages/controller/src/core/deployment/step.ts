// The deployment machine: `begin` with what was asked for, then one `step` per event. First the event is written
// down, then everything that follows from it. The same events give the same state, whenever they are replayed.
import { advance } from './advance.ts'
import { fetchLimitMs, moveFetches, recordFetched, recordNotFetched, recordSlowFetches } from './cache.ts'
import { giveCommand, withState } from './change-step.ts'
import { compareLimitMs, moveComparisons, recordCompared, recordSlowComparisons } from './compare-stored.ts'
import { dueOf } from './deadlines.ts'
import type { CommandName, DeploymentEvent, Requested, RequestedPart, Step, StoredEvent } from './events.ts'
import { recordResumed } from './pause.ts'
import { recordAnswer } from './record-answer.ts'
import { recordSilence } from './record-silence.ts'
import { type DeploymentState, findTarget, type Part, type Target } from './state.ts'

export const begin = (request: Requested): Step => {
  const { atMs, id, environment, mode, timing, warnings, refusals, parts, targets } = request
  const state: DeploymentState = {
    id,
    environment,
    mode,
    phase: 'requested',
    outcome: null,
    reason: null,
    cause: null,
    parts: parts.map(newPart),
    timing,
    cancelledBy: null,
    requestedAtMs: atMs,
    endedAtMs: null,
    batch: 0,
    nextBatchAtMs: null,
    pausedUntilMs: null,
    refusals,
    targets: targets.map((target) => newTarget(request, target)),
    warnings
  }
  return frozen(advance({ state, effects: [] }, atMs))
}

/** @returns the very same state when the event changes nothing: then it need not be stored */
export const step = (state: DeploymentState, event: DeploymentEvent): Step => {
  const recorded = record({ state, effects: [] }, event)
  if (recorded.state === state && event.kind !== 'timePassed') return { state, effects: [] }
  const advanced = advance(recorded, event.atMs)
  return advanced.state === state ? { state, effects: [] } : frozen(advanced)
}

/** @throws TypeError when the first event is not `requested`: then this is no deployment's record */
export const replay = (events: readonly StoredEvent[]): DeploymentState => {
  const [first, ...rest] = events
  if (first?.kind !== 'requested') throw new TypeError('a deployment begins with its request')
  return rest.reduce((state, event) => {
    if (event.kind === 'requested') throw new TypeError('a deployment is requested once')
    return step(state, event).state
  }, begin(first).state)
}

const newPart = ({ cache, ...part }: RequestedPart): Part => {
  const { releaseCommand } = part
  const open = { state: 'pending', host: null, exitCode: null, reason: null, log: [] } as const
  return {
    ...part,
    releaseCommand: releaseCommand === null ? null : { ...releaseCommand, ...open, log: [] },
    ...(cache && { cache: { ...cache, state: 'wanted', untilMs: null } }),
    resolve: { asked: [], failures: [] },
    isUnchanged: false
  }
}

const newTarget = (request: Requested, target: Requested['targets'][number]): Target => {
  const { service, agent, host, isConnected } = target
  const base: Target = {
    service,
    agent,
    host,
    state: 'pending',
    serving: 'unknown',
    former: null,
    batch: null,
    reason: null,
    code: null,
    log: [],
    index: 0,
    inFlight: null,
    absentSinceMs: isConnected ? null : request.atMs,
    turnAtMs: null,
    image: null,
    isRunning: false,
    mayRunNew: false,
    wasToldToGoBack: false,
    owedRevert: null,
    settling: null,
    isForgiven: false,
    plan: null
  }
  if (isConnected) return base
  const reason = 'its agent is not connected'
  return { ...base, state: request.offline === 'skip' ? 'skipped' : 'not-ready', reason, code: 'lost' }
}

const record = (at: Step, event: DeploymentEvent): Step => {
  switch (event.kind) {
    case 'cancelRequested':
      return at.state.phase === 'ended' || at.state.cancelledBy !== null
        ? at
        : withState(at, { cancelledBy: event.by })
    case 'resumed':
      return recordResumed(at)
    case 'hostConnected':
      return recordPresence(at, event.agent, null)
    case 'hostDisconnected':
      return recordPresence(at, event.agent, event.atMs)
    case 'hostGone':
      return recordTime(recordGone(at, event), event.atMs)
    case 'commandRefused': {
      const { code, detail } = event
      return giveAgain(at, event) ?? answered(at, event, { kind: 'refused', code, detail })
    }
    case 'commandReported': {
      const { outcome, changes = [] } = event
      return answered(at, event, { kind: 'reported', outcome, changes })
    }
    case 'imageFetched':
      return recordFetched(at, event.service, event.artifact)
    case 'imageNotFetched':
      return recordNotFetched(at, event.service, event.detail)
    case 'imageCompared':
      return recordCompared(at, event.service, event.configs)
    case 'controllerRestarted':
      return recordRestart(at, event.atMs)
    case 'clockJumped':
      return recordJump(at, event.byMs)
    case 'timePassed':
      return recordTime(at, event.atMs)
    default:
      return event satisfies never
  }
}

const answered = (at: Step, event: CommandName, answer: Parameters<typeof recordAnswer>[3]): Step => {
  const target = findTarget(at.state, event)
  return target === undefined ? at : recordAnswer(at, target, event.index, answer)
}

/**
 * A command that the clock alone made too old is given anew; the fresh one is outdated only by another jump. A release
 * command is not: an agent that lost its journal may have run it.
 */
const giveAgain = (at: Step, event: DeploymentEvent & { kind: 'commandRefused' }): Step | undefined => {
  const target = findTarget(at.state, event)
  const { inFlight } = target ?? {}
  if (target === undefined || inFlight?.index !== event.index || event.code !== 'expired') return undefined
  const { order, isOutdated = false, isCancelled } = inFlight
  if (order === undefined || order.kind === 'run-once' || !isOutdated || isCancelled) return undefined
  return at.state.phase === 'paused' ? undefined : giveCommand(at, target, order, event.atMs)
}

const recordGone = (at: Step, { agent, why, atMs }: DeploymentEvent & { kind: 'hostGone' }): Step => {
  const isNews = (target: Target): boolean => target.agent === agent && target.goneBecause === undefined
  if (at.state.phase === 'ended' || !at.state.targets.some(isNews)) return at
  return withState(at, {
    targets: at.state.targets.map((target) =>
      isNews(target) ? { ...target, goneBecause: why, absentSinceMs: target.absentSinceMs ?? atMs } : target
    )
  })
}

/** A session is the host's, whatever services it has. */
const recordPresence = (at: Step, agent: Target['agent'], absentSinceMs: number | null): Step => {
  if (at.state.phase === 'ended') return at
  const isNews = (target: Target): boolean =>
    target.agent === agent &&
    target.goneBecause === undefined &&
    (target.absentSinceMs === null) !== (absentSinceMs === null)
  if (!at.state.targets.some(isNews)) return at
  return withState(at, {
    targets: at.state.targets.map((target) => (isNews(target) ? { ...target, absentSinceMs } : target))
  })
}

/** While the controller was away nobody could report: no wait may end because of that. */
const recordRestart = (at: Step, atMs: number): Step => {
  if (at.state.phase === 'ended') return at
  const { lostAfterMs, reportGraceMs } = at.state.timing
  const deadlineAtMs = atMs + lostAfterMs + reportGraceMs
  const { pausedUntilMs } = at.state
  return withState(at, {
    pausedUntilMs: pausedUntilMs === null ? null : Math.max(pausedUntilMs, deadlineAtMs),
    parts: moveComparisons(
      moveFetches(at.state.parts, () => atMs + fetchLimitMs),
      () => atMs + compareLimitMs
    ),
    targets: at.state.targets.map((target) => ({
      ...target,
      absentSinceMs: atMs,
      turnAtMs: target.turnAtMs === null ? null : atMs,
      inFlight:
        target.inFlight === null
          ? null
          : { ...target.inFlight, deadlineAtMs: Math.max(target.inFlight.deadlineAtMs, deadlineAtMs) }
    }))
  })
}

const recordJump = (at: Step, byMs: number): Step => {
  if (at.state.phase === 'ended') return at
  const moved = (atMs: number | null): number | null => (atMs === null ? null : atMs + byMs)
  return withState(at, {
    nextBatchAtMs: moved(at.state.nextBatchAtMs),
    pausedUntilMs: moved(at.state.pausedUntilMs),
    parts: moveComparisons(
      moveFetches(at.state.parts, (untilMs) => untilMs + byMs),
      (untilMs) => untilMs + byMs
    ),
    targets: at.state.targets.map((target) => ({
      ...target,
      absentSinceMs: moved(target.absentSinceMs),
      turnAtMs: moved(target.turnAtMs),
      inFlight: target.inFlight && {
        ...target.inFlight,
        ...(byMs > 0 && { isOutdated: true }),
        sentAtMs: target.inFlight.sentAtMs + byMs,
        deadlineAtMs: target.inFlight.deadlineAtMs + byMs
      }
    }))
  })
}

const recordTime = (at: Step, atMs: number): Step =>
  at.state.phase === 'ended'
    ? at
    : at.state.targets.reduce(
        (done, target) => {
          const due = dueOf(at.state, target)
          return due === null || due.atMs > atMs ? done : recordSilence(done, target, due.isLost)
        },
        recordSlowComparisons(recordSlowFetches(at, atMs), atMs)
      )

const frozen = (result: Step): Step => ({ state: deepFreeze(result.state), effects: result.effects })

const deepFreeze = <Value>(value: Value): Value => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value
}
