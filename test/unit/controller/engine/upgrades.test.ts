// Upgrades of agents through the engine and a real store: who is asked, in what order, what stands in the way, and that
// they are no deployment of a service.
import { agentService } from '@longshore/protocol'
import t from 'tap'
import { deployRequest } from '../../../../packages/controller/src/api/schemas.ts'
import { needsOf } from '../../../../packages/controller/src/core/requests/wishes.ts'
import { createSpecs } from '../../../../packages/controller/src/engine/specs.ts'
import { digestOf, failed } from '../core/deployment-scenes.ts'
import { beginScene, jenkins, openScene } from './engine-scene.ts'
import { obedient } from './scene-hosts.ts'

const upgradeFor = (upgrade: object = {}, change: object = {}) =>
  deployRequest.parse({
    service: agentService,
    environment: 'staging',
    mode: 'upgrade',
    what: { by: 'tag', tag: '1.3.0' },
    upgrade: { repository: 'registry.test/agent', ...upgrade },
    ...change
  })

t.test('goes through the agents one after the other, over a change of controllers', async (t) => {
  const { scene, hosts, store } = await openScene(['a', 'b', 'c'], obedient)
  const { id } = await scene.deployments.request(jenkins, upgradeFor())
  await scene.die()
  const next = await beginScene(store, hosts, scene.clock)
  await next.settle()
  const view = await next.deployments.view(id)
  t.match(view, {
    mode: 'upgrade',
    outcome: 'succeeded',
    service: agentService,
    repository: 'registry.test/agent'
  })
  const bodies = [...scene.commands, ...next.commands].map(({ body }) => body)
  t.same(
    bodies.map(({ kind }) => kind),
    ['resolve', 'upgrade', 'upgrade', 'upgrade']
  )
  t.match(bodies.at(-1), { kind: 'upgrade', release: 1, image: { tag: '1.3.0', digest: view.digest } })
  const status = await next.deployments.status({})
  t.notOk(
    status.some(({ service }) => service === agentService),
    'it is no service'
  )
  t.same(await store.releases({ environment: 'staging', service: agentService, limit: 9 }), [])
  t.equal(await store.lock('staging', agentService), undefined)
})

t.test('asks those that are named, and no more at a time than wanted', async (t) => {
  const { scene } = await openScene(['a', 'b', 'c'], (host, command) =>
    command.body.kind === 'upgrade' ? failed('old', 'upgrade-failed') : obedient(host, command)
  )
  const wish = { hosts: ['a', 'c'], parallelism: { unit: 'count', value: 2 } }
  const what = { by: 'digest', digest: digestOf('7') }
  const { id } = await scene.deployments.request(jenkins, upgradeFor(wish, { what }))
  await scene.settle()
  t.match(await scene.deployments.view(id), {
    outcome: 'refused',
    targets: [
      { host: 'a', state: 'failed', code: 'upgrade-failed' },
      { host: 'c', state: 'failed' }
    ]
  })
  t.equal(scene.commands.length, 2, 'a digest need not be resolved')
  await t.rejects(scene.deployments.request(jenkins, upgradeFor({ hosts: ['z'] })), {
    code: 'unknown-agent',
    extra: { known: ['a', 'b', 'c'] }
  })
})

t.test(
  'one at a time in an environment, none while that is frozen, and none by the name of a service',
  async (t) => {
    const { scene, store } = await openScene(['a'], () => undefined)
    await scene.deployments.request(jenkins, upgradeFor())
    await t.rejects(scene.deployments.request(jenkins, upgradeFor()), { code: 'locked' })
    const freeze = {
      environment: 'staging',
      service: null,
      holder: 'ops',
      reason: 'holidays',
      sinceMs: 1
    } as never
    await store.transaction((tx) => tx.putFreeze(freeze))
    await t.rejects(scene.deployments.request(jenkins, upgradeFor()), { code: 'frozen' })
    t.same(needsOf(upgradeFor()), [{ verb: 'agents', environment: 'staging', service: '*' }])
    for (const change of [
      { service: 'api' },
      { upgrade: undefined },
      { mode: 'deploy' },
      { what: { by: 'current' } }
    ])
      t.throws(() => upgradeFor({}, change))
    const spec = (await store.spec('staging', 'api'))?.spec
    if (spec === undefined) throw new Error('there is no spec')
    const specs = createSpecs({ store, writer: undefined as never, clock: scene.clock })
    const named = { environment: 'staging' as never, service: agentService }
    await t.rejects(specs.apply(jenkins, named, spec, true), { code: 'invalid-request' })
  }
)
