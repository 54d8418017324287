// The controller brings hosts to what was decided by itself: real store and machine, hosts that are what they were
// told, a clock that is moved by hand.
import type { InventoryContainer } from '@longshore/protocol'
import t from 'tap'
import { backoffMs, maxTries } from '../../../../packages/controller/src/core/convergence/decide.ts'
import { agentOf } from '../core/deployment-scenes.ts'
import { containerOf } from '../core/inventory-scenes.ts'
import { healing, label, openWorld, place } from './converge-scene.ts'
import { jenkins, requestFor } from './engine-scene.ts'

t.test('does nothing while everything is as it was decided, nor before anything was', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.pass(10_000)
  t.same(world.scene.sent, [])
  t.equal(await world.deploy('v1'), 'succeeded')
  await world.pass(600_000)
  t.same(await world.converged(), [])
  t.same(await world.store.convergences(), [])
  t.same(world.scene.faults, [])
  await world.close()
  t.equal(world.clock.waiting, 0, 'no timer is left')
})

t.test('brings a host that was skipped to the current release when it returns, within seconds', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  await world.scene.disconnect('b')
  t.equal(await world.deploy('v2', { offline: 'skip' }), 'succeeded')
  t.same(world.releases('a', 'b'), [2, 1])
  await world.connect('b')
  await world.pass(5000)
  t.same(world.releases('a', 'b'), [2, 2])
  t.same(await world.converged(), ['b succeeded'])
  t.match(await world.statusOf('b'), { state: 'running', release: 2, drift: undefined })
  const audit = await world.store.audit({ limit: 100 })
  t.ok(
    audit.some(({ action, actorName }) => action === 'command.release' && actorName === 'convergence'),
    'the audit names who sent it'
  )
  t.same(world.scene.faults, [])
  await world.close()
})

t.test('brings the current release to a host that is new, and what was removed by hand back', async (t) => {
  const world = await openWorld('a', 'b')
  await world.connect('a')
  t.equal(await world.deploy('v1', { offline: 'skip' }), 'succeeded')
  await world.connect('b')
  await world.pass(2000)
  t.same(world.releases('a', 'b'), [1, 1])
  world.containers.set('a', [])
  await world.pass(4000)
  t.same(world.releases('a', 'b'), [1, 1])
  t.same(await world.converged(), ['b succeeded', 'a succeeded'])
  await world.close()
})

t.test('only shows what was changed by hand, and repairs it once healing is on', async (t) => {
  const world = await openWorld('a')
  await world.connect('a')
  await world.deploy('v1')
  world.containers.set('a', [containerOf(1, { changes: ['memory limit is 64 MiB, not unlimited'] })])
  await world.pass(60_000)
  t.same(await world.converged(), [])
  t.match(await world.statusOf('a'), { driftKind: 'changed', drift: /memory limit is 64 MiB/ })
  await healing(world)
  world.scene.deployments.environmentChanged('staging')
  await world.pass(3000)
  t.same(await world.converged(), ['a succeeded'])
  t.match(await world.statusOf('a'), { state: 'running', driftKind: undefined })
  await world.close()
})

t.test('tries five times, later each time, and then says why it cannot', async (t) => {
  const world = await openWorld('a')
  await world.connect('a')
  await world.deploy('v1')
  world.broken.add('a')
  world.containers.set('a', [])
  await world.pass(4000)
  t.match(await world.statusOf('a'), {
    driftKind: 'missing',
    convergence: { tries: 1, isGivenUp: false, reason: /exited with code 1/ }
  })
  await world.pass(backoffMs.reduce((sum, ms) => sum + ms, 0) + 200_000)
  t.equal((await world.converged()).length, maxTries)
  t.match(await world.statusOf('a'), {
    convergence: { tries: maxTries, isGivenUp: true, reason: /exited with code 1/, nextAtMs: null }
  })
  await world.pass(600_000)
  t.equal((await world.converged()).length, maxTries)
  t.equal(world.scene.faults.filter((line) => line.startsWith('cannot converge: ')).length, 1, 'logged once')

  await world.scene.disconnect('a')
  world.broken.delete('a')
  await world.connect('a')
  await world.pass(5000)
  t.same(world.releases('a'), [1], 'it was repaired, and its agent has come back')
  await world.close()
})

t.test('starts its tries anew after another deployment', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  world.broken.add('b')
  world.containers.set('b', [])
  await world.pass(600_000)
  t.match(await world.statusOf('b'), { convergence: { isGivenUp: true } })
  world.broken.delete('b')
  t.equal(await world.deploy('v2'), 'succeeded')
  t.same(world.releases('a', 'b'), [2, 2])
  await world.pass(2000)
  t.same(await world.store.convergences(), [], 'nothing of it is left')
  await world.close()
})

t.test('gives way to a deployment, and goes on after it', async (t) => {
  const world = await openWorld('a', 'b')
  await world.connect('a')
  await world.deploy('v1', { offline: 'skip' })
  await world.connect('b')
  await world.scene.pause()
  world.clock.move(1000)
  await world.scene.pause()
  const [convergence] = await world.scene.deployments.list({ isEnded: false })
  t.match(convergence, { mode: 'converge', requestedBy: 'convergence' })
  t.equal(await world.deploy('v2'), 'succeeded')
  t.match(await world.scene.deployments.view(convergence?.id ?? ''), { outcome: 'cancelled' })
  t.same(world.releases('a', 'b'), [2, 2])
  await world.pass(30_000)
  t.same(await world.converged(), ['b cancelled'])
  await world.close()
})

t.test('replaces what serves only as many hosts at a time as a deployment would', async (t) => {
  const names = ['a', 'b', 'c']
  const world = await openWorld(...names)
  for (const host of names) await world.connect(host)
  await world.deploy('v1')
  await healing(world)
  for (const host of names) world.containers.set(host, [containerOf(1, { state: 'paused' })])
  for (const host of names) world.scene.deployments.observed(agentOf(host), world.inventoryOf(host))
  await world.scene.settle()
  world.clock.move(1000)
  await world.scene.pause()
  t.equal((await world.scene.deployments.list({ isEnded: false })).length, 1)
  await world.pass(20_000)
  t.same(await world.converged(), ['a succeeded', 'b succeeded', 'c succeeded'])
  await world.close()
})

t.test('lets hosts where nothing runs go together', async (t) => {
  const names = ['a', 'b', 'c']
  const world = await openWorld(...names)
  for (const host of names) await world.connect(host)
  await world.deploy('v1')
  for (const host of names) {
    world.containers.set(host, [])
    world.scene.deployments.observed(agentOf(host), world.inventoryOf(host))
  }
  world.clock.move(1000)
  await world.scene.pause()
  t.equal((await world.scene.deployments.list({ isEnded: false })).length, 3)
  await world.pass(3000)
  t.same(world.releases(...names), [1, 1, 1])
  await world.close()
})

t.test('goes on after the controller was killed in the middle of a try', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  world.containers.set('b', [])
  world.scene.deployments.observed(agentOf('b'), world.inventoryOf('b'))
  world.clock.move(1000)
  await world.scene.pause()
  t.match(await world.store.convergences(), [{ tries: 1, deployment: /^dep_/ }])
  await world.restart()
  await world.pass(20_000)
  t.same(world.releases('a', 'b'), [1, 1])
  t.same(await world.converged(), ['b succeeded'], 'the same try, taken up')
  await world.close()
})

t.test(
  'lets a host that was lost go back as its deployment ordered, and begins nothing of its own',
  async (t) => {
    const world = await openWorld('a', 'b')
    for (const host of ['a', 'b']) await world.connect(host)
    await world.deploy('v1')
    world.mute.add('b')
    const { id } = await world.scene.deployments.request(
      jenkins,
      requestFor({ what: { by: 'tag', tag: 'v2' } })
    )
    await world.pass(3000)
    await world.scene.disconnect('b')
    await world.pass(70_000)
    t.equal((await world.scene.deployments.view(id)).outcome, 'mixed')
    t.same(world.releases('a', 'b'), [1, 2])
    world.mute.delete('b')
    await world.connect('b')
    await world.pass(40_000)
    t.same(world.releases('a', 'b'), [1, 1])
    t.ok(world.scene.sent.includes('b revert'))
    t.same(await world.converged(), [])
    await world.close()
  }
)

t.test('leaves alone what a deployment with tolerated failures brought', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  await world.store.transaction(async (tx) => {
    const former = await tx.spec('staging', 'api')
    if (former === undefined) throw new Error('there is no spec')
    const update = { ...former.spec.update, maxFailureRatio: 0.5 }
    await tx.insertSpec({ ...former, revision: 2, spec: { ...former.spec, update } })
  })
  world.broken.add('b')
  t.equal(await world.deploy('v2'), 'mixed')
  await world.pass(60_000)
  t.same(world.releases('a', 'b'), [2, 1])
  t.same(await world.converged(), [])
  t.match(await world.statusOf('a'), { driftKind: 'stale' }, 'and says so')
  await world.scene.disconnect('b')
  t.equal(await world.deploy('v3'), 'refused')
  await world.connect('b')
  await world.pass(60_000)
  t.same(world.releases('a', 'b'), [2, 1], 'a deployment that touched nothing decides nothing about it')
  world.containers.set('a', [])
  await world.pass(10_000)
  t.same(world.releases('a', 'b'), [1, 1], 'what is missing is brought as the current release')
  await world.close()
})

t.test('takes a service from a host that it left, once it runs where it belongs', async (t) => {
  const world = await openWorld('a', 'b')
  await label(world, 'a', 'old')
  await label(world, 'b', 'new')
  await place(world, 2, 'old')
  for (const host of ['a', 'b']) await world.connect(host)
  t.equal(await world.deploy('v1'), 'succeeded')
  t.same(world.releases('a', 'b'), [1, undefined])
  await place(world, 3, 'new')
  await world.pass(30_000)
  t.same(world.releases('a', 'b'), [1, undefined], 'a spec that is applied changes nothing')

  world.broken.add('b')
  t.equal(await world.deploy('v1'), 'reverted')
  await world.pass(30_000)
  t.same(world.releases('a', 'b'), [1, undefined])

  world.broken.delete('b')
  await world.scene.deployments.request(jenkins, requestFor())
  await world.scene.settle()
  world.containers.set('b', [containerOf(3, { state: 'restarting' })])
  await world.pass(30_000)
  t.equal(world.releases('a')[0], 1, 'not while it does not run elsewhere')
  t.match(await world.statusOf('a'), { driftKind: 'extra', drift: /does not belong on this host/ })
  world.containers.set('b', [containerOf(3)])
  await world.pass(5000)
  t.same(world.releases('a', 'b'), [undefined, 3])
  t.same(await world.converged(), ['a succeeded'])
  t.equal(await world.statusOf('a'), undefined)
  t.equal((await world.store.currentRelease('staging', 'api'))?.number, 3, 'taking away decides nothing')
  await world.close()
})

t.test('names the very containers that it takes away, and leaves what came since', async (t) => {
  const world = await openWorld('a', 'b')
  for (const host of ['a', 'b']) await world.connect(host)
  await world.deploy('v1')
  await world.scene.disconnect('b')
  const gone = await world.deploy('v1', { mode: 'remove', what: { by: 'nothing' }, offline: 'skip' })
  t.equal(gone, 'succeeded')
  t.equal(await world.store.currentRelease('staging', 'api'), undefined)
  await world.connect('b')
  await world.pass(6000)
  t.same(world.containers.get('b'), [])
  t.same(await world.converged(), ['b succeeded'])
  const [command] = (await world.store.audit({ limit: 100 })).filter(
    ({ action, actorName }) => action === 'command.remove' && actorName === 'convergence'
  )
  t.match(command?.request, { order: { containers: [containerOf(1).id] } })
  await world.pass(60_000)
  t.same(world.releases('a', 'b'), [undefined, undefined], 'nothing is brought back')
  await world.close()
})

t.test('shows containers of a service that it does not know, and leaves them alone', async (t) => {
  const world = await openWorld('a')
  await world.connect('a')
  await world.deploy('v1')
  const service = 'other' as InventoryContainer['service']
  world.containers.set('a', [containerOf(1), containerOf(4, { service })])
  await world.pass(60_000)
  t.same(await world.converged(), [])
  const views = await world.scene.deployments.status({})
  t.match(views, [
    { service: 'api', hosts: [{ host: 'a', state: 'running' }] },
    { service: 'other', release: null, hosts: [{ host: 'a', driftKind: 'unknown' }] }
  ])
  await world.close()
})

t.test('leaves a host alone that runs what the controller has no record of', async (t) => {
  const world = await openWorld('a')
  await world.connect('a')
  await world.deploy('v1')
  world.containers.set('a', [containerOf(9)])
  await world.pass(60_000)
  t.same(await world.converged(), [])
  t.match(await world.statusOf('a'), { driftKind: 'unknown', drift: /no record of/ })
  await world.close()
})
