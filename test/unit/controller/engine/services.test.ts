// Several services in one deployment, and single hosts brought to the current release, through the engine and a
// real store.
import t from 'tap'
import { agentOf, api, failed } from '../core/deployment-scenes.ts'
import { type EngineScene, jenkins, openScene, requestFor } from './engine-scene.ts'
import { type Behaviour, deploying } from './scene-hosts.ts'

const worker = 'worker' as typeof api
const staging = requestFor().environment
const both = { services: [{ service: api }, { service: worker }] }

const openPair = (names: string[], behaviour: Behaviour = deploying) =>
  openScene(names, behaviour, ['api', 'worker'])
const ordersOf = (scene: EngineScene): string[] =>
  scene.commands.map(({ agent, service, body }) => `${agent.slice(-1)} ${service} ${body.kind}`)

t.test(
  'deploys several services as one: all staged, then one after the other, each with its lock',
  async (t) => {
    const { scene, store } = await openPair(['a', 'b'])
    const { id } = await scene.deployments.request(jenkins, requestFor({ ...both, reason: 'RFC 12' }))
    t.match(await store.lock('staging', 'worker'), { deployment: id, holder: 'jenkins', reason: 'RFC 12' })
    await t.rejects(scene.deployments.request(jenkins, requestFor({ service: worker })), { code: 'locked' })
    await scene.settle()
    const view = await scene.deployments.view(id)
    t.equal(view.outcome, 'succeeded', view.reason ?? '')
    t.equal(view.reason, 'all 2 hosts are on api release 1 and worker release 1, healthy')
    t.match(view, { mode: 'deploy', service: 'api', services: [{ service: 'api' }, { service: 'worker' }] })
    const orders = ordersOf(scene).filter((order) => /stage|release/.test(order))
    // hosts are told side by side
    t.same(orders.slice(0, 4).toSorted(), ['a api stage', 'a worker stage', 'b api stage', 'b worker stage'])
    t.same(orders.slice(4), ['a api release', 'b api release', 'a worker release', 'b worker release'])
    for (const service of ['api', 'worker']) {
      t.equal(await store.lock('staging', service), undefined)
      t.equal((await store.currentRelease('staging', service))?.number, 1)
      t.same(
        (await scene.deployments.list({ service })).map((one) => one.id),
        [id]
      )
    }
    t.same(scene.faults, [])
    await scene.close()
  }
)

t.test('takes one service back when another one fails', async (t) => {
  const { scene, store } = await openPair(['a', 'b'], (host, command) =>
    host === 'b' && command.service === 'worker' && command.body.kind === 'release'
      ? failed('none')
      : deploying(host, command)
  )
  const { id } = await scene.deployments.request(jenkins, requestFor(both))
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'reverted', view.reason ?? '')
  t.match(view.reason, /^host b, worker: the container exited/)
  t.same(
    view.targets.map(({ host, service, state }) => `${host} ${service} ${state}`),
    ['a api reverted', 'b api reverted', 'a worker reverted', 'b worker failed']
  )
  t.equal(await store.currentRelease('staging', 'api'), undefined)
  await scene.close()
})

t.test('takes all locks of a request or none', async (t) => {
  const { scene, store } = await openPair(['a'], () => undefined)
  const first = await scene.deployments.request(jenkins, requestFor({ service: worker }))
  const counters = await store.counters('staging', 'api')
  await t.rejects(scene.deployments.request(jenkins, requestFor(both)), {
    code: 'locked',
    extra: { lock: { service: 'worker', deployment: first.id } }
  })
  t.equal(await store.lock('staging', 'api'), undefined)
  t.same(await store.counters('staging', 'api'), counters)
  await scene.close()
})

t.test('brings one host to the current release without a lock', async (t) => {
  const { scene, store } = await openPair(['a', 'b'])
  const wish = { environment: staging, service: api, agent: agentOf('b'), recreate: false }
  t.equal(await scene.deployments.converge(wish), undefined, 'nothing has succeeded yet')
  await scene.deployments.request(jenkins, requestFor())
  t.equal(await scene.deployments.converge(wish), undefined, 'a deployment holds the service')
  await scene.settle()
  scene.sent.length = 0
  const begun = await scene.deployments.converge(wish)
  t.match(begun, { mode: 'converge', release: 1, requestedBy: 'convergence', targets: [{ host: 'b' }] })
  t.equal(await store.lock('staging', 'api'), undefined)
  await scene.settle()
  t.same(scene.sent, ['b stage', 'b release', 'b settle'])
  const { id = '' } = begun ?? {}
  t.equal((await scene.deployments.view(id)).outcome, 'succeeded')
  t.match(await store.currentReleases(), [{ release: 1, generation: 1 }])
  t.equal((await store.counters('staging', 'api')).generation, 2, 'its fence is its own')
  await scene.close()
})

t.test('gives way to a deployment of the service, not of another one', async (t) => {
  let isSlow = false
  const { scene } = await openPair(['a'], (host, command) =>
    isSlow && command.body.kind === 'release' ? undefined : deploying(host, command)
  )
  await scene.deployments.request(jenkins, requestFor(both))
  await scene.settle()
  isSlow = true
  const wish = { environment: staging, service: api, agent: agentOf('a'), recreate: true }
  const begun = await scene.deployments.converge(wish)
  await scene.settle()
  const { id = '' } = begun ?? {}
  await scene.deployments.request(jenkins, requestFor({ service: worker }))
  t.equal((await scene.deployments.view(id)).isCancelRequested, false)
  const other = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  t.ok(scene.sent.includes('a cancel'))
  const [run] = scene.commands.filter(({ deployment, body }) => deployment === id && body.kind === 'release')
  if (run === undefined) throw new Error('nothing was released')
  const report = { command: run.id, number: 99, outcome: failed('old', 'cancelled', 'cancelled'), steps: [] }
  await scene.deployments.reported(agentOf('a'), report, 'signed')
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'cancelled')
  t.match(view.reason, new RegExp(`^preempted by ${other.id}`))
  await scene.close()
})
