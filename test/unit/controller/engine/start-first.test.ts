// A start-first service through the engine: which agents are asked, what is shown while connections are drained, what
// stays of it, and how much of what hosts count is believed.
import type { Inventory } from '@longshore/protocol'
import t from 'tap'
import { createTrafficCounts } from '../../../../packages/controller/src/engine/traffic-counts.ts'
import type { Store } from '../../../../packages/controller/src/ports.ts'
import { sampleRouting } from '../../../support/run-samples.ts'
import { agentOf, planned, released } from '../core/deployment-scenes.ts'
import { type EngineScene, helloOf, jenkins, openScene, requestFor } from './engine-scene.ts'
import { type Behaviour, obedient } from './scene-hosts.ts'

const makeStartFirst = async (store: Store) => {
  const row = await store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const spec = {
    ...row.spec,
    routing: { ...sampleRouting, hosts: [], tls: [] },
    releaseCommand: { command: ['migrate'], timeoutMs: 1000 },
    update: { ...row.spec.update, order: 'start-first' as const }
  }
  await store.transaction((tx) => tx.insertSpec({ ...row, revision: row.revision + 1, spec }))
}

const openRouted = async (names: string[], behaviour: Behaviour = obedient) => {
  const opened = await openScene(names, behaviour)
  await makeStartFirst(opened.store)
  return opened
}

const run = async (scene: EngineScene, change: Parameters<typeof requestFor>[0] = {}) => {
  const { id } = await scene.deployments.request(jenkins, requestFor(change))
  await scene.settle()
  return scene.deployments.view(id)
}

t.test('is never sent to an agent that cannot do it, whatever the command', async (t) => {
  const { scene } = await openRouted(['a', 'b'])
  scene.capabilities = scene.capabilities.filter((one) => one !== 'start-first')
  const upgrade = {
    state: 'not-ready',
    code: 'unsupported',
    reason: /cannot do start-first.*upgrade the agent/
  }
  for (const mode of ['deploy', 'rehearse', 'plan'] as const)
    t.match(await run(scene, { mode }), { outcome: 'refused', targets: [upgrade, upgrade] }, mode)
  t.same([...new Set(scene.commands.map(({ body }) => body.kind))], ['resolve'])
  t.same(scene.faults, [])
  await scene.close()
})

t.test('is refused as well where the agent was replaced by an old one after its vote', async (t) => {
  const { scene } = await openRouted(['a'], (host, command) => {
    if (command.body.kind === 'stage') scene.capabilities = ['run-once']
    return obedient(host, command)
  })
  const view = await run(scene)
  t.match(view, { outcome: 'refused', reason: /release command.*cannot do start-first/ })
  await scene.close()
})

t.test('shows what is drained while it lasts, and keeps how traffic moved', async (t) => {
  const traffic = { switchMs: 4.4, gapMs: null, drainMs: 1900, closed: { requests: 0, upgraded: 2 } }
  let isHeld = true
  const { scene, store } = await openRouted(['a', 'b'], (host, command) => {
    if (command.body.kind !== 'release' || command.body.release !== 1) return obedient(host, command)
    if (host === 'b' && isHeld) return undefined
    return {
      ...released,
      result: { kind: 'release', containers: ['x'], traffic },
      release: 1
    } as typeof released
  })
  const { id } = await run(scene)
  t.match(await scene.deployments.view(id), {
    targets: [{ state: 'released', traffic }, { state: 'releasing' }]
  })
  const row = (await store.outbox({ agent: agentOf('b') })).find(({ kind }) => kind === 'release')
  if (row === undefined) throw new Error('no release was sent')
  t.same(row.needs, ['release', 'start-first'])
  const connections = { requests: 3, upgraded: 12 }
  const message = {
    type: 'progress',
    command: row.command,
    step: 'drain-containers',
    position: 7,
    total: 9
  } as const
  scene.deployments.progress(agentOf('b'), { ...message, connections })
  await scene.settle()
  t.match(scene.events.at(-1), { type: 'progress', host: 'b', progress: { connections } })
  t.match((await scene.deployments.view(id)).targets[1], { progress: { connections } })
  scene.deployments.progress(agentOf('b'), message)
  await scene.settle()
  t.notOk('connections' in ((await scene.deployments.view(id)).targets[1]?.progress ?? {}))
  isHeld = false
  await scene.disconnect('b')
  await scene.connect('b')
  await scene.deployments.cancel(jenkins, id)
  await scene.settle()
  t.same(scene.faults, [])
  await scene.close()
})

t.test('tells in a plan what hosts want people to know', async (t) => {
  const notices = ['the port 80 is taken over: about 2 s without service']
  const { scene } = await openRouted(['a'], (host, command) => {
    if (command.body.kind !== 'plan') return obedient(host, command)
    const plan = planned()
    if (plan.status === 'succeeded' && plan.result.kind === 'plan') plan.result.notices = notices
    return plan
  })
  t.match(await run(scene, { mode: 'plan' }), { outcome: 'succeeded', targets: [{ plan: { notices } }] })
  await scene.close()
})

const inventoryWith = (requests: number, change: Partial<Inventory> = {}, errors = 0): Inventory => ({
  ...helloOf('a').inventory,
  proxy: { state: 'running', version: '2.6.12', detail: '' },
  traffic: [
    {
      environment: 'staging' as 'staging' & NonNullable<Inventory['traffic']>[number]['environment'],
      service: 'api' as 'api' & NonNullable<Inventory['traffic']>[number]['service'],
      requests,
      errors,
      requestsPerSecond: 10,
      errorsPerSecond: 1,
      sessions: 2,
      upgraded: 1,
      latencyMs: 5
    }
  ],
  ...change
})
const collect = (scene: EngineScene, isReadable = () => true) => scene.deployments.metrics.collect(isReadable)

t.test('sums traffic over hosts in status, and only of hosts that were heard of lately', async (t) => {
  const { scene } = await openRouted(['a', 'b', 'c'])
  await run(scene)
  scene.deployments.observed(agentOf('a'), inventoryWith(1))
  const down = { proxy: { state: 'down', version: null, detail: 'it was killed' } } as const
  scene.deployments.observed(agentOf('b'), inventoryWith(1, down))
  scene.deployments.observed(agentOf('c'), inventoryWith(1))
  await scene.disconnect('c')
  const [view] = await scene.deployments.status({})
  const figures = {
    requestsPerSecond: 10,
    errorsPerSecond: 1,
    errorRatio: 0.1,
    sessions: 2,
    upgraded: 1,
    latencyMs: 5
  }
  t.same(view?.traffic, { ...figures, requestsPerSecond: 20, errorsPerSecond: 2, sessions: 4, upgraded: 2 })
  t.same(
    view?.hosts.map(({ host, traffic }) => [host, traffic]),
    [
      ['a', figures],
      ['b', figures],
      ['c', undefined]
    ]
  )
  t.same(
    view?.hosts.map(({ proxy }) => proxy?.state),
    ['running', 'down', undefined]
  )
  scene.clock.move(4 * 60_000)
  await scene.settle()
  const [late] = await scene.deployments.status({})
  t.equal(late?.traffic, undefined, 'what was said four minutes ago is not how it is now')
  await scene.close()
})

t.test('counts requests on over restarts of agents, from when the controller heard of them', async (t) => {
  const { scene } = await openRouted(['a', 'b'])
  const counted = async () =>
    (await collect(scene)).services.map(({ requests, errors }) => [requests, errors])
  t.same(await counted(), [], 'nothing was ever measured')
  scene.deployments.observed(agentOf('a'), inventoryWith(1000, {}, 10))
  t.same(await counted(), [[1000, 10]], 'the agent was known before it had any traffic')
  scene.deployments.observed(agentOf('a'), inventoryWith(1200, {}, 11))
  scene.deployments.observed(agentOf('a'), inventoryWith(50, {}, 0))
  t.same(await counted(), [[1250, 11]])
  await scene.disconnect('b')
  await scene.connect('b', { inventory: inventoryWith(7) })
  t.same(await counted(), [[1257, 11]])
  await scene.disconnect('a')
  await scene.disconnect('b')
  t.match(await collect(scene), {
    services: [{ requests: 1257, errors: 11, figures: null }],
    proxies: [],
    environments: [{ environment: 'staging', connected: 0, enrolled: 2 }]
  })
  await scene.close()
})

t.test('begins at zero with agents that counted before the controller started', async (t) => {
  const counts = createTrafficCounts()
  counts.observed(agentOf('a'), inventoryWith(1000))
  counts.observed(agentOf('a'), inventoryWith(1010))
  t.same([...counts.of('staging', 'api').values()], [{ requests: 10, errors: 0 }])
})

t.test('believes a host nothing of other environments, nor of services that nobody applied', async (t) => {
  const { scene } = await openRouted(['a'])
  const [own] = inventoryWith(5).traffic ?? []
  if (own === undefined) throw new Error('no traffic')
  const foreign = { ...own, environment: 'production' as typeof own.environment }
  const unknown = { ...own, service: 'made-up' as typeof own.service }
  scene.deployments.observed(agentOf('a'), inventoryWith(5, { traffic: [own, foreign, unknown] }))
  t.match((await collect(scene)).services, [{ environment: 'staging', service: 'api', requests: 5 }])
  t.equal((await collect(scene)).services.length, 1)
  t.same(
    await collect(scene, () => false),
    { environments: [], services: [], proxies: [], leftOut: 0, own: null },
    'and whoever may read nothing is told nothing'
  )
  await scene.close()
})

t.test('tells of no more services than monitoring can hold, and of how many it does not', async (t) => {
  const names = Array.from({ length: 503 }, (_, number) => `s${String(number).padStart(4, '0')}`)
  const { scene } = await openScene(['a'], obedient, names)
  const [own] = inventoryWith(5).traffic ?? []
  if (own === undefined) throw new Error('no traffic')
  const traffic = names.map((service) => ({ ...own, service: service as typeof own.service }))
  scene.deployments.observed(agentOf('a'), inventoryWith(5, { traffic }))
  const { services, leftOut } = await collect(scene)
  t.equal(services.length, 500)
  t.equal(services.at(-1)?.service, 's0499')
  t.equal(leftOut, 3)
  await scene.close()
})
