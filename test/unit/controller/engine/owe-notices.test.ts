// What is owed of deployments and convergence: with the change itself, told after it, also by the controller after one
// that died in between.
import t from 'tap'
import type { Notice } from '../../../../packages/controller/src/api/schemas.ts'
import { newNotificationId, oweNotices } from '../../../../packages/controller/src/engine/owe-notices.ts'
import { agentOf, failed, planned } from '../core/deployment-scenes.ts'
import { EngineScene, jenkins, requestFor } from './engine-scene.ts'
import { busy, openNotices, switching } from './notice-scene.ts'
import { type Behaviour, Hosts } from './scene-hosts.ts'

t.test('a deployment is owed with its own change and told after it, in order', async (t) => {
  const scene = await openNotices(t, ['a'])
  await scene.make('ops')
  await scene.make('elsewhere', { environments: [], events: ['deployment.mixed'] })
  const fleet = await scene.deployOn(['a'])
  const { id } = await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  await scene.settle()
  t.same(scene.typesTo('ops'), ['deployment.started', 'deployment.succeeded'])
  t.same(scene.typesTo('elsewhere'), [])
  t.match(scene.sent[1]?.notice, {
    data: {
      deployment: id,
      outcome: 'succeeded',
      services: [{ service: 'api', release: 1, tag: 'v1' }],
      hosts: []
    }
  })
  t.not(scene.sent[0]?.id, scene.sent[1]?.id)
  t.same(await scene.store.notifications({}), [], 'what was taken is gone')
  t.match(await scene.webhooks.list(), [{}, { lastTry: { isDelivered: true }, waiting: 0, givenUp: 0 }])
  await fleet.deployments.stop()
})

t.test('a pause and the end after it name the host that failed; a plan is not told', async (t) => {
  const scene = await openNotices(t, ['a', 'b'])
  await scene.make('ops')
  const row = await scene.store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const update = { ...row.spec.update, failureAction: 'pause' as const }
  await scene.store.transaction((tx) =>
    tx.insertSpec({ ...row, revision: 2, spec: { ...row.spec, releaseCommand: null, update } })
  )
  const behaviour: Behaviour = (host, command) => {
    if (command.body.kind === 'plan') return planned()
    return host === 'b' && command.body.kind === 'release' ? failed('none') : switching(host, command)
  }
  const fleet = await scene.deployOn(['a', 'b'], behaviour)
  await fleet.deployments.request(jenkins, requestFor({ mode: 'plan' }))
  await fleet.settle()
  const { id } = await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  await fleet.deployments.resume(jenkins, id)
  await fleet.settle()
  await scene.settle()
  t.same(scene.typesTo('ops'), ['deployment.started', 'deployment.paused', 'deployment.mixed'])
  const hosts = [
    { host: 'b', service: 'api', state: 'failed', serving: 'none', reason: /exited with code 1/ }
  ]
  t.match(scene.sent[1]?.notice, { data: { deployment: id, outcome: null, reason: /^host b: /, hosts } })
  t.match(scene.sent[2]?.notice, { data: { outcome: 'mixed', reason: /host b: /, hosts } })
  await fleet.deployments.stop()
})

t.test('what a crashed controller owed is sent by the next one', async (t) => {
  const scene = await openNotices(t, ['a'])
  await scene.make('ops')
  await scene.notifications.stop()
  const fleet = await scene.deployOn(['a'])
  await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  await fleet.deployments.stop()
  t.same(scene.sent, [])
  const next = await scene.restart()
  t.same(next.typesTo('ops'), ['deployment.started', 'deployment.succeeded'])
  await next.stop()
})

t.test('a change that is not committed owes nothing', async (t) => {
  const scene = await openNotices(t)
  await scene.make('ops')
  const failing = scene.writer.step(async (tx) => {
    const notice = { type: 'host.lost', timestamp: '', data: { environment: 'staging' } } as unknown as Notice
    await oweNotices(tx, scene.random, [notice], 0)
    throw new Error('the disk broke')
  })
  await t.rejects(failing, /the disk broke/)
  await scene.settle()
  t.same(await scene.store.notifications({}), [])
  t.same(scene.sent, [])
})

t.test('a receiver that stays away does not fill the disk', async (t) => {
  const scene = await openNotices(t)
  await scene.make('ops')
  scene.answers = () => busy
  const notice = { type: 'host.lost', timestamp: '', data: { environment: 'staging' } } as unknown as Notice
  await scene.writer.step(async (tx) => {
    await oweNotices(tx, scene.random, [notice], scene.clock.nowMs())
    const [first] = await tx.notifications({})
    if (first === undefined) throw new Error('nothing is owed')
    for (let number = 1; number < 1_000; number += 1) {
      await tx.putNotification({
        ...first,
        id: newNotificationId(scene.random),
        createdAtMs: first.createdAtMs + 1
      })
    }
    await oweNotices(tx, scene.random, [notice], scene.clock.nowMs() + 2)
    t.match(await tx.notifications({ state: 'given-up' }), [{ id: first.id, lastError: /newer ones/ }])
    for (let number = 0; number < 1_000; number += 1) {
      const id = newNotificationId(scene.random)
      await tx.putNotification({ ...first, id, state: 'given-up', nextAtMs: scene.clock.nowMs() + 3 })
    }
    await oweNotices(tx, scene.random, [notice], scene.clock.nowMs() + 4)
    t.equal(await tx.notification(first.id), undefined, 'given up first, forgotten first')
  })
  await scene.settle()
  t.match(await scene.webhooks.list(), [{ waiting: 1_000, givenUp: 1_000 }])
  await scene.notifications.stop()
})

t.test('a host that cannot be repaired is told of once, after its last try', async (t) => {
  const scene = await openNotices(t, ['a'])
  await scene.make('ops')
  const lastTry = 'dep_00000000000000000009'
  await scene.store.transaction((tx) =>
    tx.putConvergence({
      environment: 'staging',
      service: 'api',
      agent: agentOf('a'),
      release: 3,
      generation: 1,
      tries: 5,
      deployment: lastTry,
      servedNothing: false,
      nextAtMs: null,
      endedAtMs: null,
      reason: null
    } as Parameters<typeof tx.putConvergence>[0])
  )
  for (let start = 1; start <= 2; start += 1) {
    const fleet = new EngineScene(scene.store, new Hosts(['a'], switching), scene.clock)
    await fleet.deployments.start()
    await fleet.settle()
    await fleet.deployments.stop()
  }
  await scene.settle()
  t.match(
    scene.sent.map(({ notice }) => notice),
    [
      {
        type: 'convergence.given-up',
        data: {
          environment: 'staging',
          service: 'api',
          host: 'a',
          release: 3,
          tries: 5,
          reason: /last try is gone/
        }
      }
    ]
  )
})
