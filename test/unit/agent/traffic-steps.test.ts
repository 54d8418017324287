// The steps that move traffic, each over an engine and a HAProxy that refuse what was not prepared.
import t from 'tap'
import type { RoutedContainer, ServiceRoute } from '../../../packages/agent/src/core/proxy/routes.ts'
import type { Step } from '../../../packages/agent/src/core/steps.ts'
import { EngineError } from '../../../packages/agent/src/engine-error.ts'
import { executeStep } from '../../../packages/agent/src/executor.ts'
import type { ContainerLook, Engine, Proxy as ProxyPort, Runtime } from '../../../packages/agent/src/ports.ts'
import { ProxyError } from '../../../packages/agent/src/proxy-error.ts'
import { preparedProxy } from '../../support/no-proxy.ts'
import { sampleCommand, sampleRouting } from '../../support/run-samples.ts'
import { lookOf, preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

const { environment, service } = sampleCommand(1, { kind: 'remove', release: null })
const key = { environment, service }
const wanted = { ...key, ports: [{ hostIp: null, published: 80, target: 8080 }], routing: sampleRouting }
const to = (...ids: string[]) => ({
  route: wanted,
  containers: ids.map((id) => ({ by: 'id' as const, id }))
})
const rule = { probe: null, timeoutMs: null }

/** Containers by id; those in `down` do not run. */
class Scene {
  readonly down = new Set<string>()
  readonly calls: string[] = []
  routes: ServiceRoute[] = []
  happened: (id: string) => void = () => undefined
  readonly #proxy: Partial<ProxyPort>
  readonly #engine: Partial<Engine>

  constructor(proxy: Partial<ProxyPort> = {}, engine: Partial<Engine> = {}) {
    this.#proxy = proxy
    this.#engine = engine
  }

  run(step: Step, more: Partial<Runtime> = {}) {
    const engine = preparedEngine({
      inspectContainer: async (id) => this.look(id),
      readLog: async () => ['last words'],
      ...this.#engine
    })
    const proxy = preparedProxy({
      routes: () => this.routes,
      route: async (route) => {
        this.calls.push(`route ${namesIn(route.containers)}`)
        this.routes = [route]
      },
      ...this.#proxy
    })
    const events = {
      onEvent: (happened: (id: string) => void) => {
        this.happened = happened
        return () => undefined
      }
    }
    return executeStep(runtimeOf(engine, { proxy, events, ...more }), step)
  }

  look(id: string): ContainerLook {
    const isRunning = !this.down.has(id)
    return lookOf({
      id,
      name: id,
      state: isRunning ? 'running' : 'exited',
      restart: { name: 'always', maxRetries: 0 },
      ownAddress: `10.0.0.${id.length}`,
      isRunning,
      finishedAtMs: isRunning ? null : 0,
      exitCode: 1
    })
  }
}
const namesIn = (containers: readonly RoutedContainer[]) => containers.map(({ id }) => id).join(' ')
const away = async (): Promise<never> => {
  throw new ProxyError('proxy-error', 'HAProxy does not answer')
}

t.test('traffic is never sent to a container that does not run', async (t) => {
  const scene = new Scene()
  scene.down.add('new')
  const result = await scene.run({ kind: 'switch-traffic', to: to('new') })
  t.match(result, { kind: 'failed', error: { code: 'container-exited' } })
  t.same(scene.calls, [])
})

t.test('a HAProxy that went away is started and told again, for a while', async (t) => {
  let failures = 2
  const scene = new Scene({
    route: async () => (failures-- > 0 ? away() : undefined),
    ensure: async () => void scene.calls.push('ensure')
  })
  t.match(await scene.run({ kind: 'switch-traffic', to: to('new') }), { finding: { kind: 'switched' } })
  t.same(scene.calls, ['ensure', 'ensure'])
  const dead = new Scene({ route: away, ensure: away })
  const result = await dead.run({ kind: 'switch-traffic', to: to('new') })
  t.match(result, { kind: 'failed', error: { code: 'proxy-error' } })
  const missing = new Scene({
    ensure: async () => {
      throw new ProxyError('proxy-missing', 'install haproxy')
    }
  })
  t.match(await missing.run({ kind: 'check-proxy' }), {
    kind: 'failed',
    error: { code: 'proxy-missing', detail: 'install haproxy' }
  })
})

t.test('a plan looks for HAProxy and starts nothing', async (t) => {
  const missing = new Scene({
    lookForProgram: async () => {
      throw new ProxyError('proxy-missing', 'install haproxy')
    }
  })
  t.match(await missing.run({ kind: 'look-for-proxy' }), { kind: 'failed', error: { code: 'proxy-missing' } })
  t.same(missing.calls, [])
  const there = new Scene({ lookForProgram: async () => {} })
  t.match(await there.run({ kind: 'look-for-proxy' }), { kind: 'done' })
})

t.test('a port is taken over right after its holder has stopped, and the gap is measured', async (t) => {
  const calls: string[] = []
  const scene = new Scene(
    {
      route: async (route) => void calls.push(`route ${namesIn(route.containers)}`),
      holdsPort: async () => false
    },
    {
      setRestartPolicy: async (id, { name }) => void calls.push(`${name} ${id}`),
      stopContainer: async (id) => void calls.push(`stop ${id}`)
    }
  )
  let bound = 2
  const host = {
    freeBytes: async () => null,
    routes: async () => [],
    probe: async () => ({ isOk: true, detail: '' }),
    isPortBound: async () => bound-- > 0
  }
  const holders = [{ container: { by: 'id' as const, id: 'old' }, graceMs: 1_000 }]
  const result = await scene.run({ kind: 'take-over-ports', to: to('new'), holders }, { host })
  t.match(result, { kind: 'done', finding: { kind: 'switched' } })
  t.same(calls, ['no old', 'stop old', 'route new'])
  const gapMs = result.kind === 'done' && result.finding.kind === 'switched' ? result.finding.gapMs : null
  t.ok(gapMs !== null && gapMs >= 20, 'Docker held the port for two more looks')
})

t.test('one that dies gives the traffic back at its event, before its end is believed', async (t) => {
  const scene = new Scene()
  scene.routes = [{ ...wanted, containers: [{ id: 'new', address: '10.0.0.3' }] }]
  const step: Step = {
    kind: 'monitor',
    containers: to('new').containers,
    rule,
    forMs: 60_000,
    fallback: to('old')
  }
  let looks = 0
  const engine: Partial<Engine> = {
    inspectContainer: async (id) => {
      looks += 1
      if (looks === 5) {
        scene.down.add('new')
        scene.happened('new')
      }
      return scene.look(id)
    },
    readLog: async () => {
      scene.calls.push('log')
      return []
    }
  }
  const dying = new Scene({}, engine)
  dying.routes = scene.routes
  Object.defineProperty(scene, 'happened', { get: () => dying.happened })
  const result = await dying.run(step)
  t.match(result, { kind: 'failed', error: { code: 'container-exited' } })
  t.same([...dying.calls, ...scene.calls], ['route old', 'log'])
})

t.test('what is attached is waited for, told, and closed when the time ends', async (t) => {
  const left = [
    { requests: 2, upgraded: 1 },
    { requests: 0, upgraded: 1 }
  ]
  const closed: string[] = []
  const scene = new Scene({
    detach: async () => {
      if (closed.length > 0) return { requests: 0, upgraded: 0 }
      return left.length > 1 ? (left.shift() ?? away()) : (left[0] ?? away())
    },
    closeConnections: async (_key, ids) => void closed.push(...ids)
  })
  const told: unknown[] = []
  const step: Step = {
    kind: 'drain-containers',
    service: key,
    containers: to('old').containers,
    timeoutMs: 1_000,
    watch: null
  }
  const result = await scene.run(step, { progress: (_detail, more) => void told.push(more?.connections) })
  t.match(result, { finding: { kind: 'drained', closed: { requests: 0, upgraded: 1 } } })
  t.same(closed, ['old'])
  t.same(told[0], { requests: 2, upgraded: 1 })
})

t.test(
  'a canary that fails more requests than the old ones is worse; too few requests are no verdict',
  async (t) => {
    const step: Step = {
      kind: 'share-traffic',
      to: to('new'),
      former: to('old'),
      rule,
      forMs: 200,
      maxErrorRatio: 0.05
    }
    const counted = (requests: number, errors: number) => {
      let looks = 0
      return new Scene({
        figures: async () => {
          looks += 1
          const isAfter = looks > 1
          const figures = { requests: 0, errors: 0, sessions: 0, upgraded: 0, latencyMs: null }
          return [
            {
              ...key,
              ...figures,
              containers: [
                // What the old one failed before does not count.
                { id: 'old', requests: isAfter ? 1_100 : 1_000, errors: isAfter ? 502 : 500 },
                ...(isAfter ? [{ id: 'new', requests, errors }] : [])
              ]
            }
          ]
        }
      })
    }
    const worse = counted(100, 10)
    t.match(await worse.run(step), { kind: 'failed', error: { code: 'worse-than-before' } })
    t.same(worse.calls, ['route new old'])
    t.match(await counted(100, 7).run(step), { kind: 'done', finding: { kind: 'nothing' } })
    t.match(await counted(10, 10).run(step), { finding: { kind: 'notes', notes: [/10 of 10/] } })
  }
)

t.test(
  'two runs that make the own network at once both have it, one that cannot be made fails',
  async (t) => {
    const subnet = '172.30.77.0/24'
    const step: Step = { kind: 'create-own-network', name: 'longshore', subnet, labels: {} }
    let looks = 0
    const overlaps = async () => {
      throw new EngineError('bad-request', 'Pool overlaps with other one on this address space')
    }
    const slow = new Scene(
      {},
      {
        listNetworks: async () => {
          looks += 1
          return looks < 5 ? [] : [{ name: 'longshore', subnets: [subnet] }]
        },
        createNetwork: overlaps
      }
    )
    t.match(await slow.run(step), { kind: 'done' })
    const stranger = new Scene({}, { listNetworks: async () => [], createNetwork: overlaps })
    t.match(await stranger.run(step), { kind: 'failed', error: { detail: /Pool overlaps/ } })
  }
)
