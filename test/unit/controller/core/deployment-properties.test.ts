// The deployment machine under any course of events: it never throws, always ends, and says nothing untrue.
import type { RunOutcome } from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import { nextDeadline } from '../../../../packages/controller/src/core/deployment/deadlines.ts'
import type {
  CommandName,
  DeploymentEvent,
  Effect,
  Order,
  Requested,
  Step,
  StoredEvent
} from '../../../../packages/controller/src/core/deployment/events.ts'
import {
  type DeploymentState,
  findTarget,
  isRepair,
  participants,
  partOf,
  type Target
} from '../../../../packages/controller/src/core/deployment/state.ts'
import { begin, replay, step } from '../../../../packages/controller/src/core/deployment/step.ts'
import { type Mode, modes } from '../../../../packages/controller/src/core/deployment/vocabulary.ts'
import {
  agentOf,
  current,
  failed,
  planned,
  ranOnce,
  rehearsed,
  released,
  requestOf,
  requestOfServices,
  resolved,
  staged,
  upgraded,
  wentBack
} from './deployment-scenes.ts'

const hosts = ['a', 'b', 'c', 'd']
const services = ['api', 'worker']
type Kind = Order['kind']
/** What a host may truly say to each command; the first is the good one. */
const truths: Record<Kind, RunOutcome[]> = {
  resolve: [resolved, failed('old', 'registry-unavailable')],
  plan: [planned(), planned(['port 80 is taken']), failed('old')],
  stage: [staged(), staged(true), staged(false, 'b'), staged(false, 'a', null), failed('old')],
  'run-once': [ranOnce, failed('old', 'command-failed'), failed('old', 'cancelled')],
  rehearse: [rehearsed, failed('old'), failed('old', 'cancelled')],
  release: [
    released,
    failed('old'),
    failed('old', 'cancelled'),
    failed('none'),
    failed('new'),
    failed('unknown')
  ],
  revert: [wentBack('revert', 'old'), failed('new'), failed('unknown')],
  remove: [wentBack('remove', 'none'), failed('new'), failed('unknown')],
  settle: [{ status: 'succeeded', result: { kind: 'settle', warnings: [] }, serving: 'new', release: 7 }],
  upgrade: [upgraded, failed('old', 'upgrade-failed')]
}
type Happening =
  /** @param back 0: the command in flight; more: an older one. `as`: the kind that it answers; null: the true one */
  | { kind: 'answer'; host: string; service: string; back: number; truth: number; as: Kind | null }
  | { kind: 'refuse'; host: string; service: string; code: 'policy' | 'expired' }
  | { kind: 'presence'; host: string; isConnected: boolean }
  | { kind: 'gone'; host: string }
  | { kind: 'jump'; ms: number }
  | { kind: 'cancel' }
  | { kind: 'resume' }
  | { kind: 'restart' }
  | { kind: 'pass'; ms: number }
const arbitraryHost = fc.constantFrom(...hosts)
const arbitraryService = fc.constantFrom(...services)
const arbitraryHappening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 60,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      host: arbitraryHost,
      service: arbitraryService,
      back: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, 2),
      truth: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5),
      as: fc.constantFrom<Kind | null>(null, null, null, null, null, null, null, null, 'release', 'stage')
    })
  },
  fc.record({
    kind: fc.constant('refuse' as const),
    host: arbitraryHost,
    service: arbitraryService,
    code: fc.constantFrom('policy' as const, 'expired' as const)
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('presence' as const),
      host: arbitraryHost,
      isConnected: fc.boolean()
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 90_000 }) })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('jump' as const),
      ms: fc.integer({ min: -7_200_000, max: 7_200_000 })
    })
  },
  fc.record({ kind: fc.constant('gone' as const), host: arbitraryHost }),
  fc.record({ kind: fc.constant('restart' as const) }),
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('resume' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const) }) }
)
const arbitraryRequest: fc.Arbitrary<Requested> = fc
  .record({
    mode: fc.constantFrom('deploy', 'deploy', 'deploy', ...modes),
    count: fc.integer({ min: 1, max: 4 }),
    isFirst: fc.boolean(),
    recreate: fc.boolean(),
    isResolved: fc.boolean(),
    isSingle: fc.boolean(),
    hasCommand: fc.boolean(),
    isSomebodyAway: fc.boolean(),
    offline: fc.constantFrom('fail' as const, 'skip' as const),
    rollout: fc.record({
      canary: fc.constantFrom(null, { unit: 'count' as const, value: 1 }),
      parallelism: fc.constantFrom(
        { unit: 'count' as const, value: 0 },
        { unit: 'count' as const, value: 1 },
        { unit: 'percent' as const, value: 50 }
      ),
      delayMs: fc.constantFrom(0, 5000),
      maxFailureRatio: fc.constantFrom(0, 0, 0.25, 0.5),
      failureAction: fc.constantFrom('rollback' as const, 'pause' as const)
    })
  })
  .map(({ mode, count, isFirst, recreate, isResolved, isSingle, hasCommand, ...rest }) => {
    const change = {
      rollout: rest.rollout,
      recreate,
      current: mode === 'converge' ? { ...current, release: 7 } : isFirst ? null : current,
      releaseCommand: mode === 'deploy' && hasCommand ? { command: ['migrate'], timeoutMs: 60_000 } : null,
      removal: mode === 'remove' ? { containers: null } : null
    }
    const request = isSingle
      ? requestOf(hosts.slice(0, count), change)
      : requestOfServices(services, hosts.slice(0, count), change)
    const isKnown = isResolved || mode === 'converge'
    const parts = request.parts.map((part) => ({ ...part, digest: isKnown ? part.digest : null }))
    const targets = request.targets.map((target) => ({
      ...target,
      isConnected: !rest.isSomebodyAway || target.host !== 'b'
    }))
    const { offline } = rest
    return { ...request, mode, parts, targets, offline }
  })

const aimOf = (state: DeploymentState, host: string, service: string): Target | undefined =>
  state.targets.find((target) => target.host === host && target.service === service) ??
  state.targets.find((target) => target.host === host)

/** @param back 0: the command in flight; more: an older one */
const eventOf = (state: DeploymentState, happening: Happening, atMs: number): DeploymentEvent | undefined => {
  switch (happening.kind) {
    case 'answer': {
      const target = aimOf(state, happening.host, happening.service)
      const name = nameOf(target, happening.back)
      const outcomes = truths[happening.as ?? target?.inFlight?.kind ?? 'settle']
      const outcome = outcomes[happening.truth] ?? outcomes[0]
      return name && outcome && { kind: 'commandReported', atMs, ...name, outcome }
    }
    case 'refuse': {
      const name = nameOf(aimOf(state, happening.host, happening.service), 0)
      return name && { kind: 'commandRefused', atMs, ...name, code: happening.code, detail: 'no' }
    }
    case 'presence': {
      const kind = happening.isConnected ? 'hostConnected' : 'hostDisconnected'
      return { kind, atMs, agent: agentOf(happening.host) }
    }
    case 'gone':
      return { kind: 'hostGone', atMs, agent: agentOf(happening.host), why: 'its agent was revoked' }
    case 'jump':
      return { kind: 'clockJumped', atMs, byMs: happening.ms }
    case 'cancel':
      return { kind: 'cancelRequested', atMs, by: 'jenkins' }
    case 'resume':
      return { kind: 'resumed', atMs, by: 'ops' }
    case 'restart':
      return { kind: 'controllerRestarted', atMs }
    case 'pass':
      return { kind: 'timePassed', atMs }
  }
}

const nameOf = (target: Target | undefined, back: number): CommandName | undefined =>
  target && { service: target.service, agent: target.agent, index: target.index - back }

const demand = (isTrue: boolean, sentence: string): void => {
  if (!isTrue) throw new Error(sentence)
}

/** All that a mode may ever send. */
const allowed: Record<Mode, readonly Kind[]> = {
  deploy: ['resolve', 'stage', 'run-once', 'release', 'revert', 'remove', 'settle'],
  converge: ['stage', 'release', 'settle'],
  rehearse: ['resolve', 'stage', 'rehearse'],
  plan: ['resolve', 'plan'],
  remove: ['remove'],
  upgrade: ['resolve', 'upgrade']
}

/** What must hold after every single step. */
const checkStep = (before: DeploymentState | undefined, { state, effects }: Step): void => {
  for (const effect of effects) {
    if (effect.kind === 'pinRelease') demand(state.mode === 'deploy' || state.mode === 'converge', 'pinned')
    if (effect.kind !== 'sendCommand') continue
    const { kind } = effect.order
    demand(allowed[state.mode].includes(kind), `${kind} was sent in mode ${state.mode}`)
    demand(state.phase !== 'paused', `${kind} was sent in a pause`)
    if (kind === 'release') checkRelease(state)
    const former = before === undefined ? undefined : findTarget(before, effect)
    const abandoned = effects.some(
      (other) =>
        other.kind === 'abandonCommand' && other.agent === effect.agent && other.service === effect.service
    )
    const isFree = former?.inFlight == null || abandoned || isAnswered(state, effect, former.inFlight.index)
    demand(isFree, 'a second command was given to a host')
  }
  if (before?.phase === 'ended') demand(state.outcome === before.outcome, 'an outcome changed after the end')
  if (state.phase !== 'ended') return
  demand(
    state.targets.every((target) => target.inFlight === null),
    'ended while a command is awaited'
  )
  demand((state.reason ?? '') !== '', 'ended without a reason')
  if (before?.phase !== 'ended') checkOutcome(state)
}

const checkRelease = (state: DeploymentState): void => {
  demand(
    participants(state).every((target) => target.image !== null),
    'a release was sent before every host was ready'
  )
  const isPrepared = state.parts.every(
    ({ releaseCommand, isUnchanged }) =>
      releaseCommand === null || isUnchanged || releaseCommand.state === 'succeeded'
  )
  demand(isPrepared, 'a release was sent before its release command had succeeded')
}

const isAnswered = (
  state: DeploymentState,
  effect: Effect & { kind: 'sendCommand' },
  index: number
): boolean => findTarget(state, effect)?.inFlight?.index !== index

const checkOutcome = (state: DeploymentState): void => {
  const targets = participants(state)
  if (state.outcome === 'succeeded') {
    const good = {
      deploy: 'released',
      converge: 'released',
      rehearse: 'rehearsed',
      plan: 'planned',
      upgrade: 'released'
    }
    const word = state.mode === 'remove' ? 'removed' : good[state.mode]
    demand(
      targets.every((target) => target.state === word),
      `succeeded although not all are ${word}`
    )
    if (word === 'released')
      demand(
        targets.every(({ serving }) => serving === 'new'),
        'succeeded although the old one serves'
      )
  }
  if (state.outcome === 'refused') {
    demand(
      targets.every(({ mayRunNew, isRunning }) => !mayRunNew || isRunning),
      'refused after a switch'
    )
  }
  if (state.outcome === 'reverted' || state.outcome === 'cancelled') {
    const isBack = (target: Target) => {
      const { mayRunNew, isRunning, former, serving } = target
      if (!mayRunNew || (isRunning && state.outcome === 'cancelled')) return true
      if (isRepair(partOf(state, target)))
        return serving !== 'unknown' && (serving !== 'none' || former === null)
      return serving === (former === null ? 'none' : 'old')
    }
    demand(targets.every(isBack), `${state.outcome} although a host is not back`)
  }
  if (state.outcome === 'mixed') {
    demand(
      targets.some(({ state: is }) => is === 'failed' || is === 'unknown') ||
        (state.mode === 'upgrade' && state.cancelledBy !== null),
      'mixed without an odd host'
    )
  }
}

t.test('never throws, always ends, never says anything untrue, and replays to the same state', async (t) => {
  const ends = new Set<string>()
  fc.assert(
    fc.property(
      arbitraryRequest,
      fc.array(arbitraryHappening, { maxLength: 80, size: 'max' }),
      (request, happenings) => {
        const events: StoredEvent[] = [request]
        let last = begin(request)
        let atMs = 0
        const runs: string[] = []
        const take = (before: DeploymentState | undefined): void => {
          checkStep(before, last)
          for (const effect of last.effects)
            if (effect.kind === 'sendCommand' && effect.order.kind === 'run-once') runs.push(effect.service)
          demand(new Set(runs).size === runs.length, 'a release command was given twice')
        }
        take(undefined)
        const happen = (event: DeploymentEvent | undefined): void => {
          if (event === undefined) return
          const before = last.state
          last = step(before, event)
          take(before)
          if (last.state !== before) events.push(event)
        }
        for (const happening of happenings) {
          atMs += happening.kind === 'pass' || happening.kind === 'jump' ? happening.ms : 10
          happen(eventOf(last.state, happening, atMs))
        }
        for (let round = 0; last.state.phase !== 'ended'; round += 1) {
          demand(round < 100, 'a deployment does not end')
          const next = nextDeadline(last.state)
          demand(next !== null, 'a deployment waits for nothing')
          atMs = Math.max(atMs, next ?? 0)
          happen({ kind: 'timePassed', atMs })
        }
        ends.add(`${last.state.mode} ${last.state.outcome}`)
        const stored = JSON.parse(JSON.stringify(events)) as StoredEvent[]
        demand(JSON.stringify(replay(stored)) === JSON.stringify(last.state), 'the replay differs')
        demand(Object.isFrozen(last.state) && Object.isFrozen(last.state.targets), 'the state is not frozen')
      }
    ),
    { numRuns: 2000 }
  )
  const reachable = [
    'converge cancelled',
    'converge mixed',
    'converge refused',
    'converge reverted',
    'converge succeeded',
    'deploy cancelled',
    'deploy mixed',
    'deploy refused',
    'deploy reverted',
    'deploy succeeded',
    'plan cancelled',
    'plan refused',
    'plan succeeded',
    'rehearse cancelled',
    'rehearse refused',
    'rehearse succeeded',
    'remove mixed',
    'remove refused',
    'remove succeeded',
    'upgrade cancelled',
    'upgrade mixed',
    'upgrade refused',
    'upgrade succeeded'
  ]
  t.same(
    [...ends].sort().filter((end) => !reachable.includes(end)),
    [],
    'no other end was reached'
  )
  t.same(
    reachable.filter((end) => end.startsWith('deploy ') && !ends.has(end)),
    [],
    'every end of a deployment was reached'
  )
})
