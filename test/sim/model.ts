// The exhaustive check: 2 hosts, 2 services, one deployment of both from v1 to v2, and one fault at one point: every
// kind of fault at every point. Nothing is left to chance, so that the points of a run without faults are the points
// of every other run up to its fault.
import type { ServiceName } from '@longshore/protocol'
import type { Outcome } from '../../packages/controller/src/core/deployment/vocabulary.ts'
import { sampleSpec } from '../support/run-samples.ts'
import { checkCalm } from './calm.ts'
import { Fleet } from './fleet.ts'
import { environment, type Member, operator, type Point, type Trace } from './fleet-parts.ts'
import { demand } from './invariants.ts'
import type { SeededRandom } from './seeded-random.ts'
import { takeOverImmediates } from './settle.ts'
import type { Behaviour } from './simulated-engine.ts'
import type { Fate } from './simulated-network.ts'

/** What v2 of the second service does: then all must end on v2, or everything must go back to v1. */
export const scenarios = ['good', 'bad'] as const
export type Scenario = (typeof scenarios)[number]

const anywhere = [
  'crash-controller',
  /** another one goes on while it stands still; then it wakes up */
  'take-over',
  'crash-agent',
  'restart-engine',
  /** what is under way arrives, then the session ends */
  'cut-session',
  /** the host is away for longer than a lost one */
  'lose-host',
  'cancel'
] as const
const ofMessages = ['lose-message', 'double-message'] as const
type FaultKind = (typeof anywhere)[number] | (typeof ofMessages)[number]

export type Case = { scenario: Scenario; point: number; at: string; fault: FaultKind }

const services = ['web', 'api'] as ServiceName[]
const hostNames = ['host-0', 'host-1']

/** Every case, in the order of the points. */
export const listCases = async (): Promise<Case[]> => {
  const cases: Case[] = []
  for (const scenario of scenarios) {
    const points: Point[] = []
    await runModel({
      scenario,
      strike: (_fleet, point) => {
        points.push(point)
        return 'arrives'
      }
    })
    points.forEach((point, index) => {
      const isMessage = point.kind === 'up' || point.kind === 'down'
      for (const fault of isMessage ? [...anywhere, ...ofMessages] : anywhere)
        cases.push({ scenario, point: index + 1, at: describePoint(point), fault })
    })
  }
  return cases
}

/** @throws Violation when a promise is broken */
export const runCase = async ({ scenario, point, fault }: Case, trace?: Trace): Promise<Outcome> => {
  let passed = 0
  const outcome = await runModel({
    scenario,
    trace,
    strike: (fleet, at, id): Fate => {
      passed += 1
      return passed === point ? strike(fleet, at, fault, id) : 'arrives'
    }
  })
  const allowed = outcomesAfter(scenario, fault)
  demand(allowed.includes(outcome), `it ended ${outcome}, not ${allowed.join(' or ')}`)
  return outcome
}

export const describeCase = ({ scenario, point, at, fault }: Case): string =>
  `${scenario} v2, ${fault} at point ${point} (${at})`

/** What dies for a moment and comes back changes no outcome; a vote is not waited for. */
const outcomesAfter = (scenario: Scenario, fault: FaultKind): Outcome[] => {
  const planned: Outcome = scenario === 'good' ? 'succeeded' : 'reverted'
  switch (fault) {
    case 'cancel':
      return [planned, 'cancelled']
    case 'restart-engine':
      return [planned, 'refused']
    case 'lose-host':
      return [planned, 'refused', 'reverted', 'mixed']
    default:
      return [planned]
  }
}

const strike = (fleet: Fleet, point: Point, fault: FaultKind, deployment: () => string): Fate => {
  const member = 'member' in point ? point.member : firstOf(fleet)
  switch (fault) {
    case 'crash-controller':
      fleet.killController(5_000)
      return 'arrives'
    case 'take-over':
      fleet.takeOver(15_000)
      return 'arrives'
    case 'crash-agent':
      fleet.killAgent(member, 5_000)
      return 'arrives'
    case 'restart-engine':
      fleet.restartEngine(member, 2_000)
      return 'arrives'
    case 'cut-session':
      fleet.later(50, () => fleet.cutOff(member, 1_000))
      return 'arrives'
    case 'lose-host':
      fleet.cutOff(member, 400_000)
      return 'is-lost'
    case 'cancel':
      fleet.later(0, () => {
        void fleet.ask((deployments) => deployments.cancel(operator, deployment()))
      })
      return 'arrives'
    case 'lose-message':
      fleet.cutOff(member, 1_000)
      return 'is-lost'
    case 'double-message':
      return 'arrives-twice'
    default:
      return fault satisfies never
  }
}

const firstOf = ({ members: [first] }: Fleet): Member => {
  if (first === undefined) throw new TypeError('the model has hosts')
  return first
}

const describePoint = (point: Point): string => {
  switch (point.kind) {
    case 'committed':
      return 'after a commit'
    case 'journalled':
      return `after a write to the journal of ${point.member.name}`
    case 'called':
      return `before the answer of the engine of ${point.member.name}`
    case 'up':
      return `${point.type} from ${point.member.name}`
    case 'down':
      return `${point.type} to ${point.member.name}`
    default:
      return point satisfies never
  }
}

type Run = {
  scenario: Scenario
  trace?: Trace | undefined
  /** Called at each point from the request of v2 to the last report of its course. */
  strike: (fleet: Fleet, point: Point, deployment: () => string) => Fate
}

const runModel = async ({ scenario, trace = () => {}, strike: strikeAt }: Run): Promise<Outcome> => {
  const giveBackImmediates = takeOverImmediates()
  try {
    let isOpen = false
    let id = ''
    const interfere = (point: Point): Fate => {
      // Progress is best effort, and when it is told rests on nothing else.
      if (!isOpen || ('type' in point && point.type === 'progress')) return 'arrives'
      return strikeAt(fleet, point, () => id)
    }
    const fleet = await Fleet.make({ random: createNoChance(), trace, interfere })
    try {
      await settleIn(fleet)
      push(fleet, 'v2', scenario === 'good' ? 'serves' : 'exits')
      isOpen = true
      id = await deploy(fleet, 'v2')
      await fleet.passUntil(() => fleet.watch.states.get(id)?.phase === 'ended')
      await fleet.pass(5_000)
      isOpen = false
      await fleet.passUntil(() => fleet.isWhole())
      await fleet.pass(90_000)
      await checkCalm(fleet)
      return fleet.watch.states.get(id)?.outcome ?? 'mixed'
    } finally {
      await fleet.close()
    }
  } finally {
    giveBackImmediates()
  }
}

/** Both services on both hosts, on v1; one of them twice on each host. */
const settleIn = async (fleet: Fleet): Promise<void> => {
  await fleet.populate(
    hostNames.map((name) => ({ name, labels: {}, skewMs: 0 })),
    services.map((service, index) => ({
      service,
      spec: sampleSpec({
        image: { repository: `registry/${service}`, tag: null, digest: null },
        replicas: index + 1
      })
    }))
  )
  await fleet.passUntil(() => fleet.isWhole())
  push(fleet, 'v1', 'serves')
  const id = await deploy(fleet, 'v1')
  await fleet.passUntil(() => fleet.watch.states.get(id)?.phase === 'ended')
  demand(fleet.watch.states.get(id)?.outcome === 'succeeded', 'v1 could not be deployed')
  await fleet.pass(2_000)
}

/** The last service has the given image, so that the others have switched when it shows what it is. */
const push = ({ registry }: Fleet, tag: string, last: Behaviour): void => {
  services.forEach((service, index) => {
    const digest = `sha256:${`${index}${tag.slice(1)}`.padStart(64, '0')}` as never
    registry.tags.set(`registry/${service}:${tag}`, digest)
    registry.behaviours.set(digest, index === services.length - 1 ? last : 'serves')
  })
}

const deploy = async (fleet: Fleet, tag: string): Promise<string> => {
  const [first = 'web' as ServiceName] = services
  for (;;) {
    await fleet.passUntil(() => fleet.controller.isAlive())
    const answer = await fleet.ask((deployments) =>
      deployments.request(operator, {
        service: first,
        environment,
        what: { by: 'tag', tag },
        mode: 'deploy',
        services: services.map((service) => ({ service })),
        recreate: false,
        offline: 'fail',
        replace: null,
        idempotencyKey: null,
        reason: null,
        build: null
      })
    )
    const [open] = fleet.watch.open()
    if (open !== undefined) return open.id
    demand(answer === 'crashed', `the request of ${tag} was refused`)
  }
}

/** In place of chance: always the middle, never what is improbable, and bytes that never come twice. */
const createNoChance = (): SeededRandom => {
  let drawn = 0
  return {
    fraction: () => 0.5,
    integer: (low, high) => low + Math.floor((high - low) / 2),
    chance: () => false,
    pick: ([first]) => {
      if (first === undefined) throw new RangeError('nothing to pick from')
      return first
    },
    bytes: (count) => {
      drawn += 1
      const bytes = new Uint8Array(count)
      new DataView(bytes.buffer).setUint32(4, drawn)
      return bytes
    }
  }
}
