// The pure parts around traffic: which addresses are given, where traffic goes without a run, what people are told
// beforehand, and the plans as they are written down.
import t from 'tap'
import {
  neverRestart,
  type Observation,
  type SeenContainer
} from '../../../../packages/agent/src/core/observation.ts'
import {
  Addresses,
  defaultSubnets,
  type NetworkView,
  ownAddressIn,
  reservedBy
} from '../../../../packages/agent/src/core/own-network.ts'
import { planSteps, type Task } from '../../../../packages/agent/src/core/plan.ts'
import { noticesOf } from '../../../../packages/agent/src/core/plan-notices.ts'
import { repairRoutes } from '../../../../packages/agent/src/core/proxy/repair-routes.ts'
import type { ServiceRoute } from '../../../../packages/agent/src/core/proxy/routes.ts'
import { ownershipOf } from '../../../../packages/agent/src/core/release-record.ts'
import { trafficBetween } from '../../../../packages/agent/src/core/traffic-rates.ts'
import { taskOf } from '../../../support/run-machine.ts'
import { sampleCommand, sampleRouting, startFirstSpec } from '../../../support/run-samples.ts'

const view = (change: Partial<NetworkView> = {}): NetworkView => ({
  subnet: '172.30.77.0/24',
  candidates: ['172.30.77.0/24', '172.29.77.0/24'],
  occupied: [],
  taken: [],
  kept: [],
  ...change
})

t.test('the network gets the first subnet that meets no other one', async (t) => {
  const chosen = (change: Partial<NetworkView>) => new Addresses(view({ subnet: null, ...change })).subnet
  t.equal(chosen({}), '172.30.77.0/24')
  t.equal(chosen({ occupied: ['172.30.0.0/16', 'fd00::/64'] }), '172.29.77.0/24')
  t.equal(chosen({ occupied: ['172.16.0.0/12'] }), null)
  t.equal(chosen({ occupied: ['172.30.77.128/25'] }), '172.29.77.0/24')
  t.equal(
    new Addresses(view({ occupied: ['172.30.0.0/16'] })).subnet,
    '172.30.77.0/24',
    'what is there, stays'
  )
  t.ok(defaultSubnets.every((one) => new Addresses(view({ subnet: null, candidates: [one] })).subnet === one))
})

t.test('an address is given once, and one of a kept release last', async (t) => {
  const addresses = new Addresses(view({ taken: ['172.30.77.10', '172.30.77.12'], kept: ['172.30.77.11'] }))
  t.equal(addresses.take(), '172.30.77.13')
  t.equal(addresses.takeAgain('172.30.77.11'), '172.30.77.11')
  t.equal(addresses.takeAgain('172.30.77.10'), '172.30.77.14', 'somebody has it')
  t.equal(addresses.takeAgain('10.0.0.9'), '172.30.77.15', 'of a network that is gone')
  const small = new Addresses(view({ subnet: '10.9.0.0/28', kept: ['10.9.0.10', '10.9.0.11'] }))
  const all = Array.from({ length: 6 }, () => small.take())
  t.same(all, ['10.9.0.12', '10.9.0.13', '10.9.0.14', '10.9.0.10', '10.9.0.11', null])
})

const { installation, environment, service } = sampleCommand(1, { kind: 'remove', release: null })
const own = (release: number, index: number, change: Partial<SeenContainer> = {}): SeenContainer => ({
  id: `${release}${index}`.padEnd(64, 'a'),
  name: `web-r${release}-${index}`,
  state: 'running',
  health: 'none',
  image: '',
  createdAtMs: release,
  restart: { name: 'always', maxRetries: 0 },
  owner: ownershipOf(sampleCommand(release, { kind: 'remove', release: null }), release, index, {
    specHash: '',
    purpose: 'serving',
    restart: neverRestart
  }),
  publishes: [],
  ownAddress: `172.30.77.${release}${index}`,
  ...change
})
const routeTo = (...containers: SeenContainer[]): ServiceRoute => ({
  environment,
  service,
  ports: [{ hostIp: null, published: 80, target: 8080 }],
  routing: sampleRouting,
  containers: containers.map(({ id, ownAddress }) => ({ id, address: ownAddress ?? '' }))
})

t.test(
  'traffic follows the containers of its release, and another release only when none of it runs',
  async (t) => {
    const repaired = (route: ServiceRoute, ...containers: SeenContainer[]) =>
      repairRoutes([route], containers, installation).map((one) =>
        one.containers.map(({ address }) => address)
      )
    const [a, b, old] = [own(2, 0), own(2, 1), own(1, 0)]
    const down = (one: SeenContainer): SeenContainer => ({ ...one, state: 'exited' })
    t.same(repaired(routeTo(a, b), a, b, old), [], 'nothing is wrong')
    t.same(repaired(routeTo(a, b), a, down(b), old), [['172.30.77.20']])
    t.same(repaired(routeTo(a), a, b), [['172.30.77.20', '172.30.77.21']], 'it has come back')
    const starting = { ...b, health: 'starting' as const }
    t.same(repaired(routeTo(a), a, starting), [], 'not before its health check says so')
    t.same(repaired(routeTo(a, b), down(a), old), [['172.30.77.10']])
    t.same(repaired(routeTo(a, b), old, own(3, 0)), [['172.30.77.30']], 'the newest, when all are gone')
    t.same(repaired(routeTo(a, b), down(a), down(b)), [], 'they may come back where they were')
    t.same(repaired(routeTo(a), own(2, 0, { ownAddress: '172.30.77.99' })), [['172.30.77.99']])
    t.same(repaired(routeTo(a), { ...old, owner: null }), [], 'a stranger gets nothing')
  }
)

const seenWith = (containers: SeenContainer[], route: ServiceRoute | null): Observation => ({
  containers,
  releases: [],
  traffic: { route, network: view({ taken: containers.flatMap((one) => one.ownAddress ?? []) }) }
})

t.test('a plan names the gap that cannot be avoided, and the firewall once', async (t) => {
  const task = taskOf(2, 2, {}, startFirstSpec())
  const noticesFor = (seen: Observation, of: Task = task): string[] => {
    const plan = planSteps(of, seen, false)
    return plan.kind === 'plan' ? noticesOf(plan.steps, seen) : ['refused']
  }
  const publishes = [{ port: 80, protocol: 'tcp' as const, hostIp: '0.0.0.0' }]
  const holder = own(1, 0, { publishes, ownAddress: null })
  t.match(noticesFor(seenWith([holder], null)), [/^a gap in service, this once: web-r1-0 .* 10 s/, /INPUT/])
  t.match(noticesFor(seenWith([], null)), [/port 80 .*INPUT/])
  const old = own(1, 0)
  t.same(noticesFor(seenWith([old], routeTo(old))), [])
  const back = taskOf(2, 2, {}, startFirstSpec({ routing: null }))
  t.match(noticesFor(seenWith([old], routeTo(old)), back), [/^a gap in service: HAProxy lets the ports go/])
})

t.test('a start-first release as it is planned', async (t) => {
  const old = own(1, 0)
  const plan = planSteps(
    taskOf(2, 2, { canaryMaxErrorRatio: 0.1 }, startFirstSpec()),
    seenWith([old], routeTo(old)),
    false
  )
  if (plan.kind !== 'plan') throw new Error(plan.detail)
  const created = plan.steps.find((step) => step.kind === 'create-container')
  t.equal(created && ownAddressIn(created.request), '172.30.77.11', 'the first address that nobody has')
  t.same(reservedBy(plan.steps), { addresses: ['172.30.77.11'], subnet: '172.30.77.0/24' })
  const { command } = taskOf(2, 2)
  const made = { by: 'command', command: command.id, release: 2, index: 0 }
  const former = { by: 'id', id: old.id }
  const key = { environment, service }
  const route = { ...key, ports: routeTo().ports, routing: sampleRouting }
  const rule = { probe: null, timeoutMs: null }
  const fallback = { route, containers: [former] }
  t.same(plan.steps.slice(plan.steps.findIndex(({ kind }) => kind === 'await-healthy')), [
    { kind: 'await-healthy', containers: [made], rule },
    {
      kind: 'share-traffic',
      to: { route, containers: [made] },
      former: fallback,
      rule,
      forMs: 300,
      maxErrorRatio: 0.1
    },
    { kind: 'switch-traffic', to: { route, containers: [made] } },
    {
      kind: 'drain-containers',
      service: key,
      containers: [former],
      timeoutMs: 30_000,
      watch: { containers: [made], rule, fallback }
    },
    { kind: 'monitor', containers: [made], rule, forMs: 300, fallback },
    { kind: 'retire-container', container: former, graceMs: 10_000 }
  ])
  t.same(
    plan.undo.map(({ kind }) => kind),
    [
      'create-own-network',
      'start-container',
      'await-healthy',
      'switch-traffic',
      'drain-containers',
      'remove-container'
    ]
  )
  t.match(plan.record, { routed: { ports: route.ports, drainTimeoutMs: 30_000 } })
})

t.test('a release that finds no address is refused before anything is made', async (t) => {
  const task = taskOf(2, 2, {}, startFirstSpec())
  const seen = seenWith([], null)
  const full = {
    ...seen,
    traffic: { route: null, network: view({ subnet: null, occupied: ['0.0.0.0/1', '128.0.0.0/1'] }) }
  }
  t.match(planSteps(task, full, false), { kind: 'refusal', code: 'no-address', detail: /LONGSHORE_SUBNET/ })
})

t.test('rates are what was counted since the look before, also when HAProxy began anew', async (t) => {
  const figures = (requests: number, errors: number) => [
    { environment, service, requests, errors, sessions: 1, upgraded: 0, latencyMs: 3 }
  ]
  const first = { atMs: 1_000, figures: figures(100, 10) }
  t.match(trafficBetween(null, first), [{ requests: 100, requestsPerSecond: 0 }])
  const next = { atMs: 3_000, figures: figures(300, 14) }
  t.match(trafficBetween(first, next), [{ requestsPerSecond: 100, errorsPerSecond: 2, latencyMs: 3 }])
  t.match(trafficBetween(next, { atMs: 4_000, figures: figures(50, 0) }), [{ requestsPerSecond: 50 }])
})
