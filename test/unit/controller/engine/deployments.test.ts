// Deployments through the engine and a real store: requests and refusals, delivery, lost hosts, and a controller
// that dies after any of its commits.
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command, ServiceMark } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import type { StoredEvent } from '../../../../packages/controller/src/core/deployment/events.ts'
import { replay } from '../../../../packages/controller/src/core/deployment/step.ts'
import type { Store } from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, failed, ranOnce } from '../core/deployment-scenes.ts'
import {
  beginScene,
  EngineScene,
  furnish,
  HandClock,
  helloOf,
  jenkins,
  openScene,
  requestFor
} from './engine-scene.ts'
import { type Behaviour, deploying, Hosts } from './scene-hosts.ts'

t.test('deploys to every host, records everything and frees the service', async (t) => {
  const { scene, store } = await openScene(['a', 'b'])
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'succeeded', view.reason ?? '')
  t.equal(view.release, 1)
  t.same(scene.sent, ['a resolve', 'a stage', 'b stage', 'a release', 'b release', 'a settle', 'b settle'])
  t.equal(await store.lock('staging', 'api'), undefined)
  t.equal((await store.currentRelease('staging', 'api'))?.number, 1)
  t.equal((await store.outbox({ isEnded: false })).length, 0)
  t.same(
    replay((await store.deploymentEvents(id)) as StoredEvent[]),
    (await store.deployment(id))?.state,
    'the stored events give the stored state'
  )
  const audit = (await store.audit({ limit: 100 }))
    .reverse()
    .map(({ action, outcome }) => `${action} ${outcome}`)
  t.equal(audit.filter((line) => line === 'deployment.request ok').length, 1)
  t.equal(audit.filter((line) => line.startsWith('command.release')).length, 2)
  t.equal(audit.filter((line) => line === 'report.release succeeded').length, 2)
  const types = scene.events.map((event) => event.type)
  t.equal(types[0], 'deployment')
  t.equal(types.filter((type) => type === 'ended').length, 1)
  t.same(scene.faults, [])
  await scene.close()
  t.equal(scene.clock.waiting, 0, 'no timer is left')
})

t.test(
  'takes the same image and spec as the release that runs, and rolls back to a former one',
  async (t) => {
    const { scene, store } = await openScene(['a'], (host, command) => {
      if (command.body.kind === 'resolve') {
        const digest = digestOf(command.body.image.tag === 'v1' ? '1' : '2')
        return { status: 'succeeded', result: { kind: 'resolve', digest }, serving: 'old', release: null }
      }
      return deploying(host, command)
    })
    for (const tag of ['v1', 'v2', 'v2']) {
      await scene.deployments.request(jenkins, requestFor({ what: { by: 'tag', tag } }))
      await scene.settle()
    }
    t.same(
      (await scene.deployments.releases({})).map(({ release, isCurrent }) => [release, isCurrent]),
      [
        [2, true],
        [1, false]
      ]
    )
    const { id } = await scene.deployments.request(
      jenkins,
      requestFor({ what: { by: 'rollback', release: null } })
    )
    await scene.settle()
    t.match(await scene.deployments.view(id), {
      release: 1,
      previousRelease: 2,
      outcome: 'succeeded',
      digest: digestOf('1')
    })
    t.equal((await store.currentRelease('staging', 'api'))?.number, 1)
    await t.rejects(
      scene.deployments.request(jenkins, requestFor({ what: { by: 'rollback', release: null } })),
      {
        code: 'nothing-to-roll-back-to'
      }
    )
    await scene.close()
  }
)

t.test(
  'refuses what does not exist and what is locked, saying what there is, and audits the refusal',
  async (t) => {
    const { scene, store } = await openScene(['a'], () => undefined)
    const asked = (change: object) => scene.deployments.request(jenkins, requestFor(change))
    await t.rejects(asked({ environment: 'nowhere' }), {
      code: 'unknown-environment',
      extra: { existing: [{ name: 'staging', environment: 'staging', services: null }] }
    })
    await t.rejects(asked({ service: 'nothing' }), {
      code: 'unknown-service',
      extra: { existing: [{ name: 'api', environment: 'staging', services: ['api'] }] }
    })
    await t.rejects(asked({ what: { by: 'rollback', release: 9 } }), { code: 'unknown-release' })
    const { id } = await asked({})
    await t.rejects(asked({}), { code: 'locked', extra: { lock: { deployment: id, holder: 'jenkins' } } })
    const [last] = await store.audit({ limit: 1 })
    t.match(last, {
      action: 'deployment.request',
      outcome: 'locked',
      actorId: jenkins.id,
      address: '10.0.0.9'
    })
    await t.rejects(scene.deployments.view('dep_00000000000000000000'), { code: 'unknown-deployment' })
    await scene.deployments.cancel(jenkins, id)
    await t.rejects(scene.deployments.cancel(jenkins, id), { code: 'already-ended' })
    await scene.close()
  }
)

t.test('takes switched hosts back when one fails', async (t) => {
  const { scene } = await openScene(['a', 'b'], (host, command) =>
    host === 'b' && command.body.kind === 'release' ? failed('none') : deploying(host, command)
  )
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'reverted')
  t.same(
    view.targets.map((target) => target.state),
    ['reverted', 'failed']
  )
  t.same(view.targets[1]?.log, ['boom'])
  t.equal((await scene.deployments.releases({}))[0]?.outcome, 'reverted')
  await scene.close()
})

t.test('sends a command again until it is answered, and all of it in a new session', async (t) => {
  const { scene } = await openScene(['a'], () => undefined)
  await scene.deployments.request(jenkins, requestFor())
  t.same(scene.sent, [])
  await scene.writer.idle()
  await scene.settle()
  t.same(scene.sent, ['a resolve'], 'accepted by now: it is not sent again')
  scene.clock.move(10_000)
  await scene.settle()
  t.same(scene.sent, ['a resolve'])
  await scene.disconnect('a')
  await scene.connect('a')
  await scene.settle()
  t.same(scene.sent, ['a resolve', 'a resolve'])
  await scene.close()
})

t.test('sends a command again to a host that does not answer, or is busy', async (t) => {
  const { scene, store } = await openScene(['a'])
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.pause()
  t.same(scene.sent, ['a resolve'])
  scene.clock.move(9999)
  await scene.pause()
  t.same(scene.sent, ['a resolve'])
  scene.clock.move(1)
  await scene.pause()
  t.same(scene.sent, ['a resolve', 'a resolve'])
  const [row] = await store.outbox({ deployment: id })
  if (row === undefined) throw new Error('no command is owed')
  const busy = { type: 'refused', command: row.command, code: 'busy', detail: 'four runs already' } as const
  await scene.deployments.refused(agentOf('a'), busy)
  t.equal((await scene.deployments.view(id)).phase, 'requested', 'busy decides nothing')
  scene.clock.move(10_000)
  await scene.settle()
  t.equal((await scene.deployments.view(id)).outcome, 'succeeded')
  t.equal(scene.sent.filter((line) => line === 'a resolve').length, 3)
  await scene.close()
})

t.test('ends with the reason of a host that refuses by its policy', async (t) => {
  const { scene, store } = await openScene(['a'], () => undefined)
  const { id } = await scene.deployments.request(
    jenkins,
    requestFor({ what: { by: 'digest', digest: digestOf('7') } })
  )
  await scene.pause()
  const [row] = await store.outbox({ deployment: id })
  if (row === undefined) throw new Error('no command is owed')
  const refusal = {
    type: 'refused',
    command: row.command,
    code: 'policy',
    detail: 'api is not on the list'
  } as const
  await scene.deployments.refused(agentOf('a'), refusal)
  const view = await scene.deployments.view(id)
  t.equal(view.outcome, 'refused')
  t.equal(
    view.reason,
    'not ready: host a: refused (policy): api is not on the list; no container was stopped'
  )
  t.match(await store.audit({ limit: 1 }), [
    { action: 'report.stage', outcome: 'refused:policy', actorName: 'a' }
  ])
  await scene.close()
})

t.test('judges a silent host lost, ends mixed, and believes its late return', async (t) => {
  let isGone = true
  const { scene, store } = await openScene(['a', 'b'], (host, command) =>
    host === 'b' && command.body.kind === 'release' && isGone ? undefined : deploying(host, command)
  )
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  await scene.disconnect('b')
  scene.clock.move(60_000)
  await scene.settle()
  t.equal((await scene.deployments.view(id)).outcome, 'mixed')
  t.equal(await store.lock('staging', 'api'), undefined, 'nobody has to unlock anything')
  const release = (await store.outbox({ deployment: id })).find(
    (row) => row.kind === 'release' && row.agent === agentOf('b')
  )
  t.equal(release?.state, 'ended')
  isGone = false
  await scene.connect('b', release === undefined ? {} : { runs: [release.command] })
  await scene.settle()
  t.ok(scene.sent.includes('b cancel'), 'the run that nobody waits for is cancelled')
  const view = await scene.deployments.view(id)
  t.equal(view.targets[1]?.state, 'reverted')
  t.equal(view.outcome, 'mixed')
  t.same(scene.faults, [])
  await scene.close()
})

t.test('stores a repeated report once and listens only to the host that was asked', async (t) => {
  const { scene, hosts, store } = await openScene(['a', 'b'])
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  const events = (await store.deploymentEvents(id)).length
  const [report] = hosts.reports('a')
  if (report === undefined) throw new Error('host a reported nothing')
  await scene.deployments.reported(agentOf('a'), report, 'signed')
  await scene.deployments.reported(agentOf('b'), report, 'signed')
  t.equal((await store.deploymentEvents(id)).length, events)
  t.equal((await store.agent(agentOf('a')))?.reportsUpTo, hosts.reports('a').length)
  await scene.close()
})

t.test('raises its counters above what a host has seen', async (t) => {
  const { scene } = await openScene(['a'])
  const mark = {
    environment: 'staging',
    service: 'api',
    fence: { generation: 41, epoch: 1, index: 3 },
    release: 12
  } as ServiceMark
  await scene.deployments.agentConnected(agentOf('a'), helloOf('a', { marks: [mark] }))
  const view = await scene.deployments.request(jenkins, requestFor())
  t.equal(view.release, 13)
  await scene.settle()
  t.equal((await scene.deployments.view(view.id)).outcome, 'succeeded')
  const [row] = await scene.store.outbox({ deployment: view.id })
  t.equal(row?.fence.generation, 42)
  await scene.close()
})

t.test('announces progress without storing it', async (t) => {
  const { scene, store } = await openScene(['a'], () => undefined)
  const { id } = await scene.deployments.request(
    jenkins,
    requestFor({ what: { by: 'digest', digest: digestOf('7') } })
  )
  await scene.settle()
  const [row] = await store.outbox({ deployment: id })
  if (row === undefined) throw new Error('no command was sent')
  const message = { type: 'progress', command: row.command, step: 'pull', position: 1, total: 3 } as const
  scene.deployments.progress(agentOf('a'), message)
  await scene.settle()
  t.match(scene.events.at(-1), { type: 'progress', host: 'a', progress: { step: 'pull' } })
  t.match((await scene.deployments.view(id)).targets[0], {
    progress: { step: 'pull', position: 1, total: 3 }
  })
  await scene.close()
})

/** A store that counts commits and, after the chosen one, copies its file away as a power cut would leave it. */
const dyingStore = (store: Store, afterCommit: number, die: () => void): Store => {
  let commits = 0
  return {
    ...store,
    transaction: async (work) => {
      if (commits >= afterCommit) return new Promise(() => {})
      const result = await store.transaction(work)
      commits += 1
      if (commits === afterCommit) {
        die()
        return new Promise(() => {})
      }
      return result
    }
  }
}

/** Applies the spec once more, with a release command. */
const prepare = async (store: Store): Promise<void> => {
  const row = await store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const spec = { ...row.spec, releaseCommand: { command: ['migrate'], timeoutMs: 60_000 } }
  await store.transaction((tx) => tx.insertSpec({ ...row, revision: 2, spec }))
}

const surviveDeathAfter = async (dir: string, afterCommit: number, behaviour: Behaviour) => {
  const path = join(dir, `before-${afterCommit}.db`)
  const copy = join(dir, `after-${afterCommit}.db`)
  const names = ['a', 'b']
  const hosts = new Hosts(names, behaviour)
  const first = await openStore({ path })
  await furnish(first, names)
  await prepare(first)
  const clock = new HandClock()
  const { promise: death, resolve: die } = Promise.withResolvers<void>()
  const store = dyingStore(first, afterCommit, () => {
    for (const suffix of ['', '-wal']) {
      if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix)
    }
    die()
  })
  const before = new EngineScene(store, hosts, clock)
  const life = async () => {
    await before.deployments.start()
    for (const host of names) await before.connect(host)
    await before.deployments.request(jenkins, requestFor())
    await before.settle()
  }
  const isOver = await Promise.race([life().then(() => true), death.then(() => false)])
  before.isDead = true
  await first.close()
  if (isOver) return undefined

  const after = await beginScene(await openStore({ path: copy }), hosts)
  await after.settle()
  const [view] = await after.deployments.list({})
  const lock = await after.store.lock('staging', 'api')
  await after.close()
  return { view, lock, faults: after.faults, executions: [...hosts.executed.values()] }
}

/** Its release command works too. */
const preparing: Behaviour = (host, command) =>
  command.body.kind === 'run-once' ? ranOnce : deploying(host, command)

for (const [title, behaviour, outcome] of [
  ['a deployment that succeeds', preparing, 'succeeded'],
  [
    'a deployment that is reverted',
    (host: string, command: Command) =>
      host === 'b' && command.body.kind === 'release' ? failed('none') : preparing(host, command),
    'reverted'
  ]
] as const) {
  t.test(`ends ${title} after the controller died at any of its commits`, async (t) => {
    const dir = t.testdir()
    let deaths = 0
    for (let afterCommit = 1; ; afterCommit += 1) {
      const survived = await surviveDeathAfter(dir, afterCommit, behaviour)
      if (survived === undefined) break
      deaths += 1
      const { view, lock, faults, executions } = survived
      if (view !== undefined) t.equal(view.outcome, outcome, `after commit ${afterCommit}: ${view.reason}`)
      t.equal(lock, undefined)
      t.same(faults, [])
      t.ok(executions.every((count) => count === 1))
    }
    t.ok(deaths > 12, `${deaths} deaths`)
  })
}
