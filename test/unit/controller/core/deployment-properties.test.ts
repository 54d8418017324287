// The deployment machine under any course of events: it never throws, always ends, and says nothing untrue.
import type { RunOutcome } from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import { nextDeadline } from '../../../../packages/controller/src/core/deployment/deadlines.ts'
import type {
  CommandName,
  DeploymentEvent,
  Effect,
  Requested,
  Step,
  StoredEvent
} from '../../../../packages/controller/src/core/deployment/events.ts'
import {
  type DeploymentState,
  findTarget,
  participants,
  type Target
} from '../../../../packages/controller/src/core/deployment/state.ts'
import { begin, replay, step } from '../../../../packages/controller/src/core/deployment/step.ts'
import {
  agentOf,
  current,
  failed,
  released,
  requestOf,
  requestOfServices,
  rolloutOf,
  staged,
  wentBack
} from './deployment-scenes.ts'

const hosts = ['a', 'b', 'c', 'd']
const services = ['api', 'worker']
const arbitraryOutcome: fc.Arbitrary<RunOutcome> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(staged()) },
  { weight: 6, arbitrary: fc.constant(released) },
  { weight: 3, arbitrary: fc.constant(wentBack('revert', 'old')) },
  fc.constant(wentBack('remove', 'none')),
  fc.constant(staged(true)),
  fc.constant(failed('old')),
  fc.constant(failed('old', 'cancelled')),
  fc.constant(failed('none')),
  fc.constant(failed('new')),
  fc.constant(failed('unknown'))
)
type Happening =
  | { kind: 'answer'; host: string; service: string; back: number; outcome: RunOutcome }
  | { kind: 'refuse'; host: string; service: string }
  | { kind: 'presence'; host: string; isConnected: boolean }
  | { kind: 'cancel' }
  | { kind: 'restart' }
  | { kind: 'pass'; ms: number }
const arbitraryHost = fc.constantFrom(...hosts)
const arbitraryService = fc.constantFrom(...services)
const arbitraryHappening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      host: arbitraryHost,
      service: arbitraryService,
      back: fc.constantFrom(0, 0, 0, 0, 1, 2),
      outcome: arbitraryOutcome
    })
  },
  fc.record({ kind: fc.constant('refuse' as const), host: arbitraryHost, service: arbitraryService }),
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
  fc.record({ kind: fc.constant('restart' as const) }),
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const) }) }
)
const arbitraryRequest: fc.Arbitrary<Requested> = fc
  .record({
    count: fc.integer({ min: 1, max: 4 }),
    parallelism: fc.constantFrom(
      { unit: 'count' as const, value: 0 },
      { unit: 'count' as const, value: 1 },
      { unit: 'percent' as const, value: 50 }
    ),
    delayMs: fc.constantFrom(0, 5000),
    maxFailureRatio: fc.constantFrom(0, 0, 0.25, 0.5),
    isFirst: fc.boolean(),
    recreate: fc.boolean(),
    isResolved: fc.boolean(),
    isSingle: fc.boolean()
  })
  .map(({ count, isFirst, recreate, isResolved, isSingle, ...rollout }) => {
    const change = { rollout: rolloutOf(rollout), recreate, ...(isFirst ? { current: null } : { current }) }
    const request = isSingle
      ? requestOf(hosts.slice(0, count), change)
      : requestOfServices(services, hosts.slice(0, count), change)
    const parts = request.parts.map((part) => ({ ...part, digest: isResolved ? part.digest : null }))
    return { ...request, parts }
  })

const aimOf = (state: DeploymentState, host: string, service: string): Target | undefined =>
  state.targets.find((target) => target.host === host && target.service === service) ??
  state.targets.find((target) => target.host === host)

/** @param back 0: the command in flight; more: an older one */
const eventOf = (state: DeploymentState, happening: Happening, atMs: number): DeploymentEvent | undefined => {
  switch (happening.kind) {
    case 'answer': {
      const name = nameOf(aimOf(state, happening.host, happening.service), happening.back)
      return name && { kind: 'commandReported', atMs, ...name, outcome: happening.outcome }
    }
    case 'refuse': {
      const name = nameOf(aimOf(state, happening.host, happening.service), 0)
      return name && { kind: 'commandRefused', atMs, ...name, code: 'policy', detail: 'no' }
    }
    case 'presence': {
      const kind = happening.isConnected ? 'hostConnected' : 'hostDisconnected'
      return { kind, atMs, agent: agentOf(happening.host) }
    }
    case 'cancel':
      return { kind: 'cancelRequested', atMs, by: 'jenkins' }
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

/** What must hold after every single step. */
const checkStep = (before: DeploymentState | undefined, { state, effects }: Step): void => {
  for (const effect of effects) {
    if (effect.kind !== 'sendCommand') continue
    if (effect.order.kind === 'release') {
      const votes = participants(state)
      demand(
        votes.every((target) => target.image !== null),
        'a release was sent before every host was ready'
      )
    }
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

const isAnswered = (
  state: DeploymentState,
  effect: Effect & { kind: 'sendCommand' },
  index: number
): boolean => findTarget(state, effect)?.inFlight?.index !== index

const checkOutcome = (state: DeploymentState): void => {
  const targets = participants(state)
  if (state.outcome === 'succeeded') {
    demand(
      targets.every(({ state: is, serving }) => is === 'released' && serving === 'new'),
      'not all released'
    )
  }
  if (state.outcome === 'refused') {
    demand(
      targets.every(({ mayRunNew, isRunning }) => !mayRunNew || isRunning),
      'refused after a switch'
    )
  }
  if (state.outcome === 'reverted' || state.outcome === 'cancelled') {
    const isBack = ({ mayRunNew, isRunning, former, serving }: (typeof targets)[number]) =>
      !mayRunNew ||
      (isRunning && state.outcome === 'cancelled') ||
      serving === (former === null ? 'none' : 'old')
    demand(targets.every(isBack), `${state.outcome} although a host is not back`)
  }
  if (state.outcome === 'mixed') {
    demand(
      targets.some(({ state: is }) => is === 'failed' || is === 'unknown'),
      'mixed without an odd host'
    )
  }
}

t.test('never throws, always ends, never says anything untrue, and replays to the same state', async (t) => {
  const outcomes = new Set<string | null>()
  fc.assert(
    fc.property(arbitraryRequest, fc.array(arbitraryHappening, { maxLength: 60 }), (request, happenings) => {
      const events: StoredEvent[] = [request]
      let last = begin(request)
      let atMs = 0
      checkStep(undefined, last)
      const happen = (event: DeploymentEvent | undefined): void => {
        if (event === undefined) return
        const before = last.state
        last = step(before, event)
        checkStep(before, last)
        if (last.state !== before) events.push(event)
      }
      for (const happening of happenings) {
        atMs += happening.kind === 'pass' ? happening.ms : 10
        happen(eventOf(last.state, happening, atMs))
      }
      for (let round = 0; last.state.phase !== 'ended'; round += 1) {
        demand(round < 100, 'a deployment does not end')
        const next = nextDeadline(last.state)
        demand(next !== null, 'a deployment waits for nothing')
        atMs = Math.max(atMs, next ?? 0)
        happen({ kind: 'timePassed', atMs })
      }
      outcomes.add(last.state.outcome)
      const stored = JSON.parse(JSON.stringify(events)) as StoredEvent[]
      demand(JSON.stringify(replay(stored)) === JSON.stringify(last.state), 'the replay differs')
      demand(Object.isFrozen(last.state) && Object.isFrozen(last.state.targets), 'the state is not frozen')
    }),
    { numRuns: 1000 }
  )
  t.same(
    [...outcomes].sort(),
    ['cancelled', 'mixed', 'refused', 'reverted', 'succeeded'],
    'every end was reached'
  )
})
