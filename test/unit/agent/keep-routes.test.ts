// When the traffic of services is looked at without a run, over an engine and a HAProxy that refuse what was not
// prepared. What is decided then is core/traffic.test.ts.
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import type { SeenContainer } from '../../../packages/agent/src/core/observation.ts'
import { neverRestart } from '../../../packages/agent/src/core/observation.ts'
import type { ServiceRoute } from '../../../packages/agent/src/core/proxy/routes.ts'
import { ownershipOf } from '../../../packages/agent/src/core/release-record.ts'
import { keepRoutes } from '../../../packages/agent/src/keep-routes.ts'
import { preparedProxy } from '../../support/no-proxy.ts'
import { sampleCommand, sampleRouting } from '../../support/run-samples.ts'
import { preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

const command = sampleCommand(1, { kind: 'remove', release: null })
const { environment, service, installation } = command
const container = (release: number): SeenContainer => ({
  id: `id${release}`,
  name: `web-r${release}-0`,
  state: 'running',
  health: 'none',
  image: '',
  createdAtMs: release,
  restart: neverRestart,
  owner: ownershipOf(command, release, 0, { specHash: '', purpose: 'serving', restart: neverRestart }),
  publishes: [],
  ownAddress: `10.0.0.${release}`
})
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

const scene = (how: { list?: () => Promise<SeenContainer[]>; isBusy?: () => boolean } = {}) => {
  const told: string[] = []
  const listeners: (() => void)[] = []
  let routes: ServiceRoute[] = [
    {
      environment,
      service,
      ports: [{ hostIp: null, published: 80, target: 8080 }],
      routing: sampleRouting,
      containers: [{ id: 'gone', address: '10.0.0.9' }]
    }
  ]
  const engine = preparedEngine({ listContainers: how.list ?? (async () => [container(1)]) })
  const keeper = keepRoutes({
    proxy: preparedProxy({
      routes: () => routes,
      route: async (route) => {
        told.push(route.containers.map(({ id }) => id).join(' '))
        routes = [route]
      },
      onChange: (changed) => {
        listeners.push(changed)
        return () => undefined
      }
    }),
    engine,
    events: {
      onEvent: (happened) => {
        listeners.push(() => happened('any'))
        return () => undefined
      }
    },
    runs: { isBusy: how.isBusy ?? (() => false) },
    installation: () => installation,
    clock: runtimeOf(engine).clock,
    log: quiet
  })
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  }
  return { told, keeper, settle, happen: () => listeners.forEach((one) => void one()) }
}

t.test('looks at the start, and again after what happens', async (t) => {
  let now = [container(1)]
  const { told, settle, happen, keeper } = scene({ list: async () => now })
  await settle()
  t.same(told, ['id1'])
  happen()
  await settle()
  t.same(told, ['id1'], 'nothing has changed')
  now = [container(2)]
  happen()
  await settle()
  t.same(told, ['id1', 'id2'])
  keeper.stop()
  now = [container(3)]
  happen()
  await settle()
  t.same(told, ['id1', 'id2'])
})

t.test('leaves a service to its run, also to one that began in the meantime', async (t) => {
  const { told, settle } = scene({ isBusy: () => true })
  await settle()
  t.same(told, [])
  let isBusy = false
  const late = scene({
    isBusy: () => isBusy,
    list: async () => {
      isBusy = true
      return [container(1)]
    }
  })
  await late.settle()
  t.same(late.told, [])
})

t.test('asks an engine again that did not answer', async (t) => {
  let failures = 2
  const list = async () => {
    failures -= 1
    if (failures >= 0) throw new Error('away')
    return [container(1)]
  }
  const { told, settle } = scene({ list })
  await settle()
  t.same(told, ['id1'])
})
