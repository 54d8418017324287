// Who may write and send: one controller at a time, whatever the other one believes; and what happens to waits when
// somebody sets the clock.
import type { RunOutcome } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import { type Store, StoreFull } from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, released, staged } from '../core/deployment-scenes.ts'
import { EngineScene, furnish, HandClock, jenkins, requestFor } from './engine-scene.ts'
import { type Behaviour, Hosts } from './scene-hosts.ts'

const byDigest = requestFor({ what: { by: 'digest', digest: digestOf('7') } })
const silent: Behaviour = () => undefined
const staging: Behaviour = (_host, { body }): RunOutcome | undefined =>
  body.kind === 'stage' ? staged(false, 'a', null) : undefined

const openFurnished = async (hosts: string[]): Promise<Store> => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, hosts)
  return store
}
const begin = async (store: Store, hosts: Hosts, clocks: { clock: HandClock; steadyClock?: HandClock }) => {
  const scene = new EngineScene(store, hosts, clocks.clock, clocks.steadyClock)
  await scene.deployments.start()
  return scene
}

t.test('lets the controller that was taken over write and send nothing', async (t) => {
  const store = await openFurnished(['a'])
  const clock = new HandClock()
  const hosts = new Hosts(['a'], silent)
  const former = await begin(store, hosts, { clock })
  await former.connect('a')
  const { id } = await former.deployments.request(jenkins, byDigest)
  await former.settle()
  const [owed] = await store.outbox({ deployment: id })
  t.match(await store.lock('staging', 'api'), { owner: (await store.lease())?.owner })

  const next = await begin(store, hosts, { clock })
  t.match(await store.lock('staging', 'api'), { owner: (await store.lease())?.owner })
  const { state } = (await store.deployment(id)) ?? {}
  former.sent.length = 0
  await t.rejects(former.deployments.cancel(jenkins, id), { code: 'stopping' })
  await t.rejects(former.deployments.request(jenkins, requestFor()), { code: 'stopping' })
  const report = { command: owed?.command ?? '', number: 1, outcome: staged(), steps: [] }
  await t.rejects(former.deployments.reported(agentOf('a'), report as never, 'signed'), { code: 'stopping' })
  clock.move(10_000)
  await former.settle()
  t.same(former.sent, [], 'nothing is sent again')
  t.same((await store.deployment(id))?.state, state)
  t.match(former.faults, [/another controller has taken over/], 'said once')
  await former.lease.lost
  t.ok(former.lease.isLost())
  t.notOk(next.lease.isLost())
  const audited = (await store.audit({ limit: 100 })).length
  const note = { actor: jenkins, action: 'POST /v1/deployments', subject: '/', request: {} }
  await t.rejects(former.writer.refused(note, new Error('no')), { code: 'stopping' })
  t.equal((await store.audit({ limit: 100 })).length, audited, 'nor does it say in the audit what it refused')

  await next.connect('a')
  await next.settle()
  t.equal(next.commands[0]?.id, owed?.command, 'the next one goes on with it')
  await next.deployments.reported(agentOf('a'), report as never, 'signed')
  await next.settle()
  const release = next.commands.find(({ body }) => body.kind === 'release')
  t.ok(
    (release?.fence.epoch ?? 0) > (owed?.fence.epoch ?? 0),
    'its commands go before those of the former one'
  )
  t.equal(release?.fence.generation, owed?.fence.generation)
  await former.deployments.stop()
  await next.close()
})

t.test('renews the lease of everything that it works on, and notices when it has lost it', async (t) => {
  const store = await openFurnished(['a'])
  const scene = await begin(store, new Hosts(['a'], silent), { clock: new HandClock() })
  await scene.connect('a')
  await scene.deployments.request(jenkins, byDigest)
  const before = await store.lock('staging', 'api')
  scene.clock.move(20_000)
  await scene.settle()
  const after = await store.lock('staging', 'api')
  t.equal((after?.leaseUntilMs ?? 0) - (before?.leaseUntilMs ?? 0), 20_000)
  t.equal((await store.lease())?.leaseUntilMs, scene.clock.nowMs() + 60_000)
  await store.transaction((tx) => tx.putLease({ owner: 'somebody else', epoch: 9, leaseUntilMs: 0 }))
  scene.clock.move(20_000)
  await scene.settle()
  t.match(scene.faults, [/another controller has taken over/, /the lease could not be renewed/])
  scene.clock.move(20_000)
  await scene.settle()
  t.equal(scene.faults.length, 2, 'and tries no more')
  t.match(await store.lease(), { owner: 'somebody else' })
  await scene.close()
})

t.test('lets go a lock that no deployment in progress holds', async (t) => {
  const store = await openFurnished(['a'])
  await store.transaction((tx) =>
    tx.insertLock({
      environment: byDigest.environment,
      service: byDigest.service,
      deployment: 'dep_00000000000000000099' as never,
      holder: 'a build that was killed long ago',
      reason: null,
      sinceMs: 0,
      owner: '',
      leaseUntilMs: 0
    })
  )
  const scene = await begin(store, new Hosts(['a'], silent), { clock: new HandClock() })
  t.equal(await store.lock('staging', 'api'), undefined)
  await scene.close()
})

for (const hours of [3, -3]) {
  const way = hours > 0 ? 'forward' : 'back'
  t.test(`moves every wait when the clock is set ${way}`, async (t) => {
    const store = await openFurnished(['a', 'b'])
    const clocks = { clock: new HandClock(), steadyClock: new HandClock() }
    const scene = await begin(store, new Hosts(['a', 'b'], staging), clocks)
    const passes = async (ms: number) => {
      clocks.steadyClock.move(ms)
      clocks.clock.move(ms)
      await scene.settle()
    }
    for (const host of ['a', 'b']) await scene.connect(host)
    const { id } = await scene.deployments.request(jenkins, byDigest)
    await scene.settle()
    await scene.disconnect('a')
    clocks.clock.move(hours * 3_600_000)
    await scene.settle()
    await passes(30_000)
    const view = await scene.deployments.view(id)
    t.equal(view.targets[0]?.state, 'releasing', 'nobody is lost because of it')
    await passes(29_000)
    t.equal((await scene.deployments.view(id)).targets[0]?.state, 'releasing')
    await passes(2_000)
    t.equal((await scene.deployments.view(id)).targets[0]?.state, 'unknown', 'nor waited for any longer')
    t.equal(scene.faults.length, 1)
    t.match(scene.faults, [/the clock was set/])
    await scene.deployments.stop()
    t.equal(clocks.clock.waiting + clocks.steadyClock.waiting, 0)
    await store.close()
  })
}

t.test('moves every wait when the clock was set back while no controller ran', async (t) => {
  const store = await openFurnished(['a', 'b'])
  const clocks = { clock: new HandClock(), steadyClock: new HandClock() }
  const hosts = new Hosts(['a', 'b'], staging)
  const former = await begin(store, hosts, clocks)
  for (const host of ['a', 'b']) await former.connect(host)
  const { id } = await former.deployments.request(jenkins, byDigest)
  await former.settle()
  await former.disconnect('a')
  await former.deployments.stop()
  clocks.clock.move(-48 * 3_600_000)
  const next = await begin(store, hosts, clocks)
  await next.connect('b')
  clocks.steadyClock.move(62_000)
  clocks.clock.move(62_000)
  await next.settle()
  t.equal((await next.deployments.view(id)).targets[0]?.state, 'unknown')
  t.match(next.faults, [/the clock was set/])
  await next.close()
})

t.test('sends what is unanswered again after the clock was set back', async (t) => {
  const store = await openFurnished(['a'])
  const clocks = { clock: new HandClock(), steadyClock: new HandClock() }
  const scene = await begin(store, new Hosts(['a'], () => released), clocks)
  await scene.connect('a')
  await scene.deployments.request(jenkins, byDigest)
  await scene.pause()
  t.same(scene.sent, ['a stage'])
  clocks.clock.move(-3_600_000)
  clocks.steadyClock.move(20_000)
  clocks.clock.move(20_000)
  await scene.pause()
  t.same(scene.sent, ['a stage', 'a stage'])
  await scene.close()
})

t.test('gives a command anew that its host calls expired after the clock was set forward', async (t) => {
  const store = await openFurnished(['a'])
  const clocks = { clock: new HandClock(), steadyClock: new HandClock() }
  const scene = await begin(store, new Hosts(['a'], silent), clocks)
  await scene.connect('a')
  const { id } = await scene.deployments.request(jenkins, byDigest)
  await scene.settle()
  clocks.clock.move(3_600_000)
  const { command } = (await store.outbox({ deployment: id }))[0] ?? {}
  if (command === undefined) throw new Error('nothing is owed')
  const refusal = { type: 'refused', command, code: 'expired', detail: 'its time ended' } as const
  await scene.deployments.refused(agentOf('a'), refusal)
  await scene.settle()
  const fresh = scene.commands.at(-1)
  t.match(fresh, { body: { kind: 'stage' }, fence: { index: 2 } })
  t.equal(fresh?.notAfterMs, clocks.clock.nowMs() + 120_000)
  t.equal((await scene.deployments.view(id)).outcome, null)
  await scene.deployments.refused(agentOf('a'), { ...refusal, command: fresh?.id ?? command })
  t.equal((await scene.deployments.view(id)).outcome, 'refused', 'once')
  await scene.close()
})

t.test('starts on a full disk to be looked at, and writes as soon as there is room', async (t) => {
  const store = await openFurnished(['a'])
  const clock = new HandClock()
  const hosts = new Hosts(['a'], silent)
  const former = await begin(store, hosts, { clock })
  await former.deployments.stop()
  const disk = { isFull: true }
  const full: Store = {
    ...store,
    transaction: (work) =>
      store.transaction((tx) =>
        work({
          ...tx,
          putLease: (row) => (disk.isFull ? Promise.reject(new StoreFull('full')) : tx.putLease(row)),
          putDeployment: (row) =>
            disk.isFull ? Promise.reject(new StoreFull('full')) : tx.putDeployment(row)
        })
      )
  }
  const next = await begin(full, hosts, { clock })
  t.equal((await store.lease())?.owner, former.lease.owner)
  t.same(await next.deployments.list({}), [])
  await t.rejects(next.deployments.request(jenkins, byDigest), StoreFull)
  disk.isFull = false
  const { id } = await next.deployments.request(jenkins, byDigest)
  t.match(await store.deployment(id), { id })
  clock.move(20_000)
  await next.settle()
  t.match(await store.lease(), { owner: next.lease.owner, epoch: next.lease.epoch() })
  await next.close()
})
