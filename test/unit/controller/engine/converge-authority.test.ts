// Convergence brings what was decided and decides nothing: on an older database, after a removal, and against orders
// that a later deployment has overtaken. Nothing keeps it from the other hosts: no store that fails, no crowd.
import type { ServiceMark } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import type { EnvironmentRow } from '../../../../packages/controller/src/ports.ts'
import { agentOf } from '../core/deployment-scenes.ts'
import { containerOf } from '../core/inventory-scenes.ts'
import { healing, openWorld, World } from './converge-scene.ts'
import { furnish, jenkins, requestFor } from './engine-scene.ts'

/** Deployments that the store has no record of any more. */
const later: ServiceMark[] = [
  {
    environment: 'staging' as ServiceMark['environment'],
    service: 'api' as ServiceMark['service'],
    fence: { generation: 9, epoch: 2, index: 3 },
    release: 2
  }
]
const returnTo = async (world: World, host: string, marks: ServiceMark[]): Promise<void> => {
  await world.scene.disconnect(host)
  await world.scene.connect(host, { inventory: world.inventoryOf(host), marks })
}

t.test('leaves hosts as they are that know of later deployments than its database', async (t) => {
  const world = await openWorld('a', 'b', 'c')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1', { offline: 'skip' })
  await world.deploy('v2', { offline: 'skip' })
  world.containers.set('a', [containerOf(1)])
  world.containers.set('b', [])
  for (const host of ['a', 'b']) await returnTo(world, host, later)
  await world.connect('c')
  await world.pass(30_000)
  t.same(world.releases('a', 'b', 'c'), [1, undefined, undefined], 'rolled back since, and removed by hand')
  t.same(await world.converged(), [])
  for (const host of ['a', 'b', 'c'])
    t.match(await world.statusOf(host), {
      driftKind: 'unknown',
      drift: /later deployment than this controller/
    })

  await world.restart()
  await world.pass(30_000)
  t.same(await world.converged(), [], 'neither after another start, when nobody tells of it any more')

  t.equal(await world.deploy('v2'), 'succeeded', 'somebody decides')
  t.same(world.releases('a', 'b', 'c'), [2, 2, 2])
  world.containers.set('b', [])
  await world.pass(5000)
  t.same(world.releases('a', 'b', 'c'), [2, 2, 2])
  t.same(await world.converged(), ['b succeeded'])
  await world.close()
})

t.test('takes away what a removed service left, though no release of it ever succeeded', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.store.transaction(async (tx) => {
    const former = await tx.spec('staging', 'api')
    if (former === undefined) throw new Error('there is no spec')
    const update = { ...former.spec.update, maxFailureRatio: 0.5 }
    await tx.insertSpec({ ...former, revision: 2, spec: { ...former.spec, update } })
  })
  world.broken.add('b')
  t.equal(await world.deploy('v1'), 'mixed')
  await world.pass(30_000)
  t.same(world.releases('a', 'b'), [1, undefined], 'nobody has decided on it')
  await world.scene.disconnect('a')
  const gone = await world.deploy('v1', { mode: 'remove', what: { by: 'nothing' }, offline: 'skip' })
  t.equal(gone, 'succeeded')
  await world.connect('a')
  await world.pass(10_000)
  t.same(world.releases('a', 'b'), [undefined, undefined])
  await world.close()
})

/** Host b was lost while it switched to release 2, and is owed the order to go back. */
const loseOne = async (world: World): Promise<void> => {
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  world.mute.add('b')
  const wish = requestFor({ what: { by: 'tag', tag: 'v2' } })
  const { id } = await world.scene.deployments.request(jenkins, wish)
  await world.pass(3000)
  await world.scene.disconnect('b')
  await world.pass(70_000)
  if ((await world.scene.deployments.view(id)).outcome !== 'mixed') throw new Error('b is not lost')
  world.mute.delete('b')
}

t.test('sends no order to go back that a later deployment has overtaken', async (t) => {
  const world = await openWorld('a', 'b')
  await loseOne(world)
  t.equal(await world.deploy('v3', { offline: 'skip' }), 'succeeded')
  await world.connect('b')
  await world.pass(40_000)
  t.same(world.releases('a', 'b'), [3, 3])
  t.notOk(world.scene.sent.includes('b revert'), 'it goes straight to what is current')
  t.same(await world.converged(), ['b succeeded'])
  await world.close()
})

t.test('never starts a service again that was removed meanwhile', async (t) => {
  const world = await openWorld('a', 'b')
  await loseOne(world)
  const gone = await world.deploy('v1', { mode: 'remove', what: { by: 'nothing' }, offline: 'skip' })
  t.equal(gone, 'succeeded')
  await world.connect('b')
  await world.pass(40_000)
  t.same(world.releases('a', 'b'), [undefined, undefined])
  t.notOk(world.scene.sent.includes('b revert'))
  await world.close()
})

t.test('looks at the other environments though one cannot be read, and at that one again', async (t) => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, ['a', 'b'])
  const production = 'production' as EnvironmentRow['name']
  await store.transaction(async (tx) => {
    await tx.insertEnvironment({ name: production, createdAtMs: 0 })
    const [host] = (await tx.agents()).filter(({ hostName }) => hostName === 'b')
    const spec = await tx.spec('staging', 'api')
    if (host === undefined || spec === undefined) throw new Error('nothing is furnished')
    await tx.putAgent({ ...host, environment: production })
    await tx.insertSpec({ ...spec, environment: production })
  })
  let isBroken = false
  const environment = async (name: string): Promise<EnvironmentRow | undefined> => {
    if (isBroken && name === 'staging') throw new Error('the page cannot be read')
    return store.environment(name)
  }
  const world = new World({ ...store, environment }, ['a', 'b'])
  await world.scene.deployments.start()
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  await world.deploy('v1', { environment: production })
  await world.pass(10_000)
  t.same(world.releases('a', 'b'), [1, 1])
  for (const host of ['a', 'b']) world.containers.set(host, [])
  isBroken = true
  await world.pass(2000)
  t.same(world.releases('a', 'b'), [undefined, 1])
  isBroken = false
  await world.pass(10_000)
  t.same(world.releases('a', 'b'), [1, 1])
  await world.close()
})

t.test('brings 120 hosts back that return at once, fifty at a time, and each once', async (t) => {
  const names = Array.from({ length: 120 }, (_, number) => `h${number}`)
  const world = await openWorld(...names)
  await world.connect('h0')
  t.equal(await world.deploy('v1', { offline: 'skip' }), 'succeeded')
  for (const name of names.slice(1)) await world.connect(name)
  let most = 0
  for (let round = 0; round < 20 && (await world.converged()).length < 119; round += 1) {
    world.clock.move(500)
    await world.scene.pause()
    most = Math.max(most, (await world.scene.deployments.list({ isEnded: false })).length)
    await world.pass(1000)
  }
  t.equal(most, 50)
  t.same(new Set(world.releases(...names)), new Set([1]))
  t.equal((await world.converged()).filter((line) => line.endsWith('succeeded')).length, 119)
  t.equal((await world.converged()).length, 119)
  await world.close()
})

t.test('takes no second host down while the first one has stopped what it ran', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  await healing(world)
  await world.pass(10_000)
  for (const host of ['a', 'b']) world.containers.set(host, [containerOf(1, { state: 'paused' })])
  const tell = async (host: string): Promise<void> => {
    world.scene.deployments.observed(agentOf(host), world.inventoryOf(host))
    await world.scene.pause()
    world.clock.move(1000)
    await world.scene.pause()
  }
  await tell('a')
  await tell('b')
  t.equal((await world.scene.deployments.list({ isEnded: false })).length, 1)
  world.containers.set('a', [containerOf(1, { state: 'exited', isKept: true })])
  await tell('a')
  t.equal((await world.scene.deployments.list({ isEnded: false })).length, 1, 'a is on its way')
  await world.pass(10_000)
  t.same(await world.converged(), ['a succeeded', 'b succeeded'])
  await world.close()
})
