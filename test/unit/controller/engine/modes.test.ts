// Pauses, release commands, rehearsals, plans and removals through the engine and a real store; with controllers
// that are replaced on the way.
import type { Command } from '@longshore/protocol'
import t from 'tap'
import type { Store } from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, failed, planned, ranOnce, staged } from '../core/deployment-scenes.ts'
import { containerOf } from '../core/inventory-scenes.ts'
import { beginScene, type EngineScene, helloOf, jenkins, openScene, requestFor } from './engine-scene.ts'
import { type Behaviour, obedient } from './scene-hosts.ts'

type Update = { failureAction?: 'pause'; releaseCommand?: { command: string[]; timeoutMs: number } }
/** Applies the spec once more, with changes. */
const apply = async (
  store: Store,
  { releaseCommand = null as Update['releaseCommand'] | null, ...update }
) => {
  const row = await store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const spec = {
    ...row.spec,
    releaseCommand: releaseCommand ?? null,
    update: { ...row.spec.update, ...update }
  }
  await store.transaction((tx) => tx.insertSpec({ ...row, revision: row.revision + 1, spec }))
}
const kindsOf = (scene: EngineScene): string[] => scene.commands.map(({ body }) => body.kind)

t.test('holds after a failure over a restart of the controller, until it is resumed', async (t) => {
  const { scene, hosts, store } = await openScene(['a', 'b', 'c'], (host, command) =>
    host === 'b' && command.body.kind === 'release' ? failed('none') : obedient(host, command)
  )
  await apply(store, { failureAction: 'pause' })
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const paused = await scene.deployments.view(id)
  t.equal(paused.phase, 'paused')
  t.match(paused.pause, { reason: /^host b: /, untilMs: scene.clock.nowMs() + 3_600_000 })
  await t.rejects(scene.deployments.request(jenkins, requestFor({})), {
    code: 'locked',
    message: /, paused\)/,
    extra: { lock: { isPaused: true } }
  })
  t.ok(scene.events.some((event) => event.type === 'phase' && event.phase === 'paused'))
  await scene.die()

  const next = await beginScene(store, hosts, scene.clock)
  await next.settle()
  t.equal((await next.deployments.view(id)).phase, 'paused')
  t.same(next.sent, [])
  t.match(await store.lock('staging', 'api'), { deployment: id })
  await next.deployments.resume(jenkins, id)
  await next.settle()
  const view = await next.deployments.view(id)
  t.equal(view.outcome, 'mixed', view.reason ?? '')
  t.same(
    view.targets.map(({ state }) => state),
    ['released', 'failed', 'released']
  )
  await t.rejects(next.deployments.resume(jenkins, id), { code: 'already-ended' })
  t.equal(await store.lock('staging', 'api'), undefined)
  await next.close()
})

t.test('resumes nothing that is not paused, and goes back when nobody decides', async (t) => {
  const { scene, store } = await openScene(['a', 'b'], (host, command) =>
    host === 'b' && command.body.kind === 'release' ? failed('none') : obedient(host, command)
  )
  await apply(store, { failureAction: 'pause' })
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await t.rejects(scene.deployments.resume(jenkins, id), { code: 'not-paused' })
  await scene.settle()
  scene.clock.move(3_600_000)
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'reverted')
  t.match(view.reason, /nobody resumed it within 1 h; release 1 was removed from the 1 switched host/)
  await scene.close()
})

t.test('gives the release command once, though the controller is replaced while it runs', async (t) => {
  let runs = 0
  let isDone = false
  const { scene, hosts, store } = await openScene(['a', 'b'], (host, command) => {
    if (command.body.kind !== 'run-once') return obedient(host, command)
    if (!isDone) return undefined
    runs += 1
    return ranOnce
  })
  await apply(store, { releaseCommand: { command: ['migrate'], timeoutMs: 60_000 } })
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  t.equal((await scene.deployments.view(id)).phase, 'preparing')
  const [run] = scene.commands.filter(({ body }) => body.kind === 'run-once')
  if (run === undefined) throw new Error('the release command was not sent')
  const lines = ['creating table', 'done']
  const message = { type: 'progress', command: run.id, step: 'run', position: 1, total: 1, lines } as const
  scene.deployments.progress(agentOf('a'), message)
  await scene.settle()
  t.match(scene.events.at(-1), { type: 'log', service: 'api', host: 'a', lines })
  await scene.die()

  isDone = true
  const next = await beginScene(store, hosts)
  await next.settle()
  const view = await next.deployments.view(id)
  t.equal(view.outcome, 'succeeded', view.reason ?? '')
  t.match(view.services[0]?.releaseCommand, { state: 'succeeded', host: 'a', exitCode: 0 })
  t.equal(runs, 1)
  t.same((await store.outbox({ deployment: id })).filter(({ kind }) => kind === 'run-once').length, 1)
  const back = requestFor({ what: { by: 'digest', digest: digestOf('8') } })
  const again = await next.deployments.request(jenkins, { ...back, mode: 'rehearse' })
  await next.settle()
  t.equal((await next.deployments.view(again.id)).outcome, 'succeeded')
  t.equal(runs, 1, 'a rehearsal does not run it')
  await next.close()
})

t.test('shows a release command only where it runs or may still run', async (t) => {
  const migrate = { command: ['migrate'], timeoutMs: 60_000 }
  const commandShownOf = async (behaviour: Behaviour, mode: 'deploy' | 'plan' = 'deploy') => {
    const { scene, store } = await openScene(['a'], behaviour)
    await apply(store, { releaseCommand: migrate })
    const { id } = await scene.deployments.request(jenkins, requestFor({ mode }))
    const before = await scene.deployments.view(id)
    t.match(before.services[0]?.releaseCommand, { state: 'pending' }, 'it may still run')
    await scene.settle()
    const view = await scene.deployments.view(id)
    await scene.close()
    return [view.outcome, view.unchanged, view.services[0]?.releaseCommand?.state]
  }
  const runsAlready: Behaviour = (host, command) => {
    if (command.body.kind === 'stage') return staged(true)
    return command.body.kind === 'plan' ? planned([], true) : obedient(host, command)
  }
  const isFull: Behaviour = (host, command) =>
    command.body.kind === 'stage' ? failed('old', 'disk-full', 'no room') : obedient(host, command)
  t.same(await commandShownOf(runsAlready), ['succeeded', true, undefined])
  t.same(await commandShownOf(isFull), ['refused', false, undefined])
  t.same(await commandShownOf(runsAlready, 'plan'), ['succeeded', true, undefined])
  t.same(await commandShownOf(obedient, 'plan'), ['succeeded', false, 'pending'], 'it would run')
})

/** A release command that host a accepted and never reported, and a controller that was started since. */
const withAcceptedCommand = async () => {
  const behaviour: Behaviour = (host, command) =>
    command.body.kind === 'run-once' ? undefined : obedient(host, command)
  const { scene, hosts, store } = await openScene(['a'], behaviour)
  await apply(store, { releaseCommand: { command: ['migrate'], timeoutMs: 60_000 } })
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const run = scene.commands.find(({ body }) => body.kind === 'run-once')
  if (run === undefined) throw new Error('the release command was not sent')
  await scene.disconnect('a')
  const sends = () => scene.sent.filter((one) => one === 'a run-once').length
  const markAt = (index: number) => [
    { environment: run.environment, service: run.service, fence: { ...run.fence, index }, release: 1 }
  ]
  return { scene, store, hosts, id, run, sends, markAt }
}

t.test('does not send a release command again to an agent that lost its journal', async (t) => {
  for (const lost of ['all of it', 'its end'] as const) {
    const { scene, store, id, run, sends, markAt } = await withAcceptedCommand()
    await scene.connect('a', { marks: lost === 'its end' ? markAt(run.fence.index - 1) : [] })
    await scene.settle()
    t.equal(sends(), 1, lost)
    const view = await scene.deployments.view(id)
    t.match(view, { outcome: 'refused', reason: /not known: its agent has lost its journal since it voted/ })
    t.match(view.services[0]?.releaseCommand, { state: 'unknown', host: 'a' })
    t.match(await store.command(run.id), { state: 'ended' })
    await scene.close()
  }
})

t.test(
  'asks an agent that lost its journal, while the container of the release command is there',
  async (t) => {
    const { scene, id, sends } = await withAcceptedCommand()
    const once = containerOf(1, { role: 'once', deployment: id as never })
    await scene.connect('a', { marks: [], inventory: { ...helloOf('a').inventory, containers: [once] } })
    await scene.settle()
    t.equal(sends(), 2)
    t.equal((await scene.deployments.view(id)).phase, 'preparing')
    await scene.close()
  }
)

t.test('asks an agent that has the release command in its journal what became of it', async (t) => {
  for (const runs of [true, false]) {
    const { scene, id, run, sends, markAt } = await withAcceptedCommand()
    await scene.connect('a', { marks: markAt(run.fence.index), runs: runs ? [run.id] : [] })
    await scene.settle()
    t.equal(sends(), 2)
    t.equal((await scene.deployments.view(id)).phase, 'preparing')
    await scene.close()
  }
})

t.test(
  'sends a release command again that may never have arrived, unless the journal was lost',
  async (t) => {
    for (const isLost of [true, false]) {
      const { scene, store, id, run, sends, markAt } = await withAcceptedCommand()
      const row = await store.command(run.id)
      if (row === undefined) throw new Error('the command is not stored')
      // as if the connection had ended before its answer came
      await store.transaction((tx) => tx.putCommand({ ...row, state: 'owed' }))
      await scene.connect('a', { marks: isLost ? [] : markAt(run.fence.index - 1) })
      await scene.settle()
      t.equal(sends(), isLost ? 1 : 2)
      const { phase, outcome } = await scene.deployments.view(id)
      t.same([phase, outcome], isLost ? ['ended', 'refused'] : ['preparing', null])
      await scene.close()
    }
  }
)

t.test('does not say of an accepted release command that it was not run', async (t) => {
  const { scene, id, run } = await withAcceptedCommand()
  await scene.deployments.refused(agentOf('a'), {
    type: 'refused',
    command: run.id,
    code: 'expired',
    detail: 'too late'
  })
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.match(view, { outcome: 'refused', reason: /not known: .*refused it \(expired: too late\).*may have run/ })
  t.match(view.services[0]?.releaseCommand, { state: 'unknown' })
  await scene.close()
})

t.test('leaves no release behind when it only rehearses', async (t) => {
  const { scene, store } = await openScene(['a', 'b'], obedient)
  const { id } = await scene.deployments.request(jenkins, requestFor({ mode: 'rehearse' }))
  t.match(await store.lock('staging', 'api'), { deployment: id })
  await scene.settle()
  t.equal((await scene.deployments.view(id)).outcome, 'succeeded')
  t.same(kindsOf(scene), ['resolve', 'stage', 'stage', 'rehearse', 'rehearse'])
  t.same(await store.releases({}), [])
  t.same(await store.currentReleases(), [])
  t.equal((await store.counters('staging', 'api')).release, 0)
  t.equal(await store.lock('staging', 'api'), undefined)
  await scene.close()
})

t.test('plans beside a deployment in progress and leaves nothing behind', async (t) => {
  let isHeld = false
  const { scene, store } = await openScene(['a'], (host, command) =>
    isHeld && command.body.kind === 'release' ? undefined : obedient(host, command)
  )
  await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  await apply(store, {})
  const row = await store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const spec = { ...row.spec, replicas: 2 }
  await store.transaction((tx) => tx.insertSpec({ ...row, revision: row.revision + 1, spec }))
  isHeld = true
  const going = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const before = {
    counters: await store.counters('staging', 'api'),
    lock: await store.lock('staging', 'api')
  }
  const plan = await scene.deployments.request(jenkins, requestFor({ mode: 'plan' }))
  await scene.settle()
  const view = await scene.deployments.view(plan.id)
  t.equal(view.outcome, 'refused', view.reason ?? '')
  t.match(view.targets[0], { state: 'planned', batch: 1, plan: { isRunning: false, serves: { release: 6 } } })
  t.match(view.refusals, [{ code: 'locked', detail: new RegExp(going.id) }])
  t.same(
    { counters: await store.counters('staging', 'api'), lock: await store.lock('staging', 'api') },
    before
  )
  t.notOk((await scene.deployments.list({})).some(({ id }) => id === plan.id))
  t.equal((await scene.deployments.view(going.id)).phase, 'rolling', 'the deployment goes on')
  t.same(scene.faults, [])
  await scene.close()
})

t.test('says in a plan what changes on a host', async (t) => {
  const { scene, store } = await openScene(['a'], (host, command) => {
    if (command.body.kind !== 'plan') return obedient(host, command)
    const plan = planned(['port 80 is taken'])
    if (plan.status === 'succeeded' && plan.result.kind === 'plan')
      plan.result.serves = { release: 1, image: null }
    return plan
  })
  await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const row = await store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const spec = { ...row.spec, replicas: 2 }
  await store.transaction((tx) => tx.insertSpec({ ...row, revision: 2, spec }))
  const { id } = await scene.deployments.request(jenkins, requestFor({ mode: 'plan' }))
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'refused')
  t.match(view.reason, /^it would be refused: host a: port 80 is taken/)
  t.same(view.targets[0]?.plan?.changes, [{ path: 'replicas', before: 1, after: 2 }])
  await scene.close()
})

t.test('forgets plans after a day and the text of commands after a month', async (t) => {
  const { scene, store } = await openScene(['a'], obedient)
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const plan = await scene.deployments.request(jenkins, requestFor({ mode: 'plan' }))
  await scene.settle()
  const hours = async (count: number) => {
    scene.clock.move(count * 3_600_000)
    await scene.settle()
  }
  await hours(23)
  t.equal((await scene.deployments.view(plan.id)).outcome, 'succeeded')
  await hours(6)
  await t.rejects(scene.deployments.view(plan.id), { code: 'unknown-deployment' })
  t.same(await store.outbox({ deployment: plan.id }), [])
  t.same(await store.deploymentEvents(plan.id), [])
  t.ok((await store.outbox({ deployment: id })).every(({ jws }) => jws !== ''))
  await hours(30 * 24)
  t.ok((await store.outbox({ deployment: id })).every(({ jws }) => jws === ''))
  t.equal((await scene.deployments.view(id)).outcome, 'succeeded')
  t.same(scene.faults, [])
  await scene.deployments.stop()
  t.equal(scene.clock.waiting, 0)
  await store.close()
})

t.test('sends an agent only what it can do, and says that it has to be upgraded', async (t) => {
  const { scene } = await openScene(['a', 'b'], obedient)
  scene.capabilities = ['resolve', 'stage', 'release', 'revert', 'settle', 'remove']
  const upgrade = { state: 'failed', code: 'unsupported', reason: /cannot do rehearse.*upgrade the agent/ }
  const { id } = await scene.deployments.request(jenkins, requestFor({ mode: 'rehearse' }))
  await scene.settle()
  t.match(await scene.deployments.view(id), { outcome: 'refused', targets: [upgrade, upgrade] })
  t.notOk(scene.commands.some(({ body }) => body.kind === 'rehearse'))
  const deployed = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  t.match(await scene.deployments.view(deployed.id), { outcome: 'succeeded' })
  const sent = scene.commands.find(({ body }) => body.kind === 'release')?.body
  if (sent?.kind !== 'release') throw new Error('no release was sent')
  t.notOk('releaseCommand' in sent.spec)
  t.notOk('canary' in sent.spec.update)
  await scene.deployments.stop()
})

t.test('leaves a service without a current release when it was removed', async (t) => {
  const { scene, store } = await openScene(['a', 'b'], obedient)
  await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  scene.commands.length = 0
  const removal = requestFor({ mode: 'remove', what: { by: 'nothing' } })
  const { id } = await scene.deployments.request(jenkins, removal)
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.match(view, { mode: 'remove', outcome: 'succeeded', release: 1, reason: 'api is gone from all 2 hosts' })
  t.same(
    scene.commands.map(({ body }: Command) => body),
    [
      { kind: 'remove', release: null },
      { kind: 'remove', release: null }
    ]
  )
  t.equal(await store.currentRelease('staging', 'api'), undefined)
  t.match(await store.currentReleases(), [{ release: null, deployment: id }])
  t.same(
    (await scene.deployments.releases({})).map(({ release, outcome, isCurrent }) => [
      release,
      outcome,
      isCurrent
    ]),
    [[1, 'succeeded', false]]
  )
  await scene.close()
})
