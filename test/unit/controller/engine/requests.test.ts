// What may be asked for, through the engine and a real store: the same request twice, promotion, going back to good
// releases, freezes, and several services whose faults are said at once.
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import type { DeployRequest } from '../../../../packages/controller/src/api/schemas.ts'
import { createFreezes } from '../../../../packages/controller/src/engine/freezes.ts'
import { setEnvironment } from '../../../../packages/controller/src/engine/set-environment.ts'
import type { EnvironmentRow, Store } from '../../../../packages/controller/src/ports.ts'
import { agentOf, api, digestOf, failed } from '../core/deployment-scenes.ts'
import { beginScene, EngineScene, furnish, jenkins, requestFor } from './engine-scene.ts'
import { type Behaviour, deploying, Hosts } from './scene-hosts.ts'

const staging = requestFor().environment
const production = 'production' as EnvironmentRow['name']
const worker = 'worker' as typeof api
const keyed = { idempotencyKey: 'build-1' }
const tagged = (tag: string): Pick<DeployRequest, 'what'> => ({ what: { by: 'tag', tag } })

const digestOfTag = (tag: string | null) => digestOf(tag === 'bad' ? 'b' : (tag?.slice(-1) ?? '0'))

/** Tag `vN` is the digest of Ns. A tag `bad` cannot start. */
const behaviour: Behaviour = (host, command) => {
  const { body } = command
  switch (body.kind) {
    case 'resolve': {
      const result = { kind: 'resolve', digest: digestOfTag(body.image.tag) } as const
      return { status: 'succeeded', result, serving: 'old', release: null }
    }
    case 'release':
      return body.image.digest === digestOf('b') ? failed('none') : deploying(host, command)
    case 'plan':
      return {
        status: 'succeeded',
        result: { kind: 'plan', isRunning: false, serves: null, steps: ['create'], refusals: [] },
        serving: 'none',
        release: null
      }
    default:
      return deploying(host, command)
  }
}

/** Host `a` in staging, host `b` in production, with the services api and worker each. */
const openScene = async () => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, ['a', 'b'], ['api', 'worker'])
  await store.transaction(async (tx) => {
    await tx.insertEnvironment({ name: production, createdAtMs: 0 })
    const host = await tx.agent(agentOf('b'))
    if (host === undefined) throw new Error('there is no host b')
    await tx.putAgent({ ...host, environment: production })
    for (const row of await tx.specs({ environment: staging })) {
      await tx.insertSpec({ ...row, environment: production })
      await tx.insertSpec({ ...row, environment: production, revision: 2, appliedBy: 'production' })
    }
  })
  const scene = await beginScene(store, new Hosts(['a', 'b'], behaviour))
  const ask = (change: Partial<DeployRequest> = {}) => scene.deployments.request(jenkins, requestFor(change))
  const run = async (change: Partial<DeployRequest> = {}) => {
    const { id } = await ask(change)
    await scene.settle()
    return scene.deployments.view(id)
  }
  const refusal = (change: Partial<DeployRequest>) =>
    ask(change).then(
      ({ id }) => t.fail(`${id} was begun`),
      (error: unknown) => error
    )
  const close = async () => {
    t.same(scene.faults, [])
    await scene.close()
  }
  return { scene, store, ask, run, refusal, close }
}
const set = (store: Store, name: string, settings: Parameters<typeof setEnvironment>[2]) =>
  store.transaction((tx) => setEnvironment(tx, name, settings))

t.test('the same key attaches to what runs, and to a success while it is current', async (t) => {
  const { scene, ask, run, close } = await openScene()
  const first = await ask({ ...tagged('v1'), ...keyed })
  t.equal(first.attached, undefined)
  t.match(await ask({ ...tagged('v1'), ...keyed, reason: 'asked again' }), { id: first.id, attached: true })
  await scene.settle()
  t.match(await ask({ ...tagged('v1'), ...keyed }), { id: first.id, attached: true, outcome: 'succeeded' })
  await run(tagged('v2'))
  const again = await ask({ ...tagged('v1'), ...keyed })
  t.match(again, { attemptOf: first.id, outcome: null }, 'its release is current no more')
  t.not(again.id, first.id)
  t.match(await ask({ ...tagged('v1'), ...keyed }), { id: again.id, attached: true }, 'now that one runs')
  await scene.settle()
  await close()
})

t.test('the audit tells a request that began something from one that only attached', async (t) => {
  const { store, run, close } = await openScene()
  const first = await run(keyed)
  const again = await run(keyed)
  t.equal(again.id, first.id)
  const rows = (await store.audit({ limit: 100 })).filter(({ action }) => action === 'deployment.request')
  t.same(rows.map(({ outcome }) => outcome).sort(), [`attached:${first.id}`, 'ok'])
  await close()
})

t.test('after a failure the same key is a new attempt, linked to the first of all', async (t) => {
  const { run, close } = await openScene()
  await run(tagged('v1'))
  const first = await run({ ...tagged('bad'), ...keyed })
  t.equal(first.outcome, 'reverted')
  const second = await run({ ...tagged('bad'), ...keyed })
  t.match(second, { outcome: 'reverted', attemptOf: first.id })
  const third = await run({ ...tagged('bad'), ...keyed })
  t.match(third, { attemptOf: first.id })
  t.equal(new Set([first.id, second.id, third.id]).size, 3)
  await close()
})

t.test('a key is not taken by what is refused, nor for another request', async (t) => {
  const { ask, run, refusal, close } = await openScene()
  t.match(await refusal({ ...keyed, what: { by: 'rollback', release: 7 } }), { code: 'unknown-release' })
  const first = await run({ ...tagged('v1'), ...keyed })
  t.equal(first.outcome, 'succeeded')
  t.match(await refusal({ ...tagged('v2'), ...keyed }), {
    code: 'idempotency-conflict',
    message: new RegExp(first.id),
    extra: { deployment: first.id }
  })
  const elsewhere = await ask({ ...tagged('v2'), ...keyed, environment: production })
  t.match(elsewhere, { attemptOf: null }, 'an environment has keys of its own')
  await close()
})

t.test('a key that was stored before the controller died attaches after its return', async (t) => {
  const { scene, store, ask } = await openScene()
  const first = await ask({ ...tagged('v1'), ...keyed })
  await scene.die()
  const next = new EngineScene(store, new Hosts(['a', 'b'], behaviour), scene.clock)
  await next.deployments.start()
  const answer = await next.deployments.request(jenkins, requestFor({ ...tagged('v1'), ...keyed }))
  t.match(answer, { id: first.id, attached: true })
  await next.close()
})

t.test('promotes the very image, with the spec that the target environment has', async (t) => {
  const { run, close } = await openScene()
  await run(tagged('v3'))
  const promoted = await run({ environment: production, what: { by: 'promote', from: staging } })
  t.match(promoted, {
    outcome: 'succeeded',
    digest: digestOf('3'),
    tag: 'v3',
    release: 1,
    specRevision: 2,
    repository: 'api'
  })
  await close()
})

t.test('promotes by digest what has succeeded there, whatever came after it', async (t) => {
  const { run, refusal, close } = await openScene()
  for (const wanted of [tagged('v1'), tagged('v2')]) await run(wanted)
  t.equal((await run(tagged('bad'))).outcome, 'reverted')
  const by = (digest: string) => ({
    environment: production,
    what: { by: 'promote' as const, from: staging, digest: digest as ReturnType<typeof digestOf> }
  })
  t.match(await run(by(digestOf('1'))), { outcome: 'succeeded', digest: digestOf('1'), tag: 'v1' })
  for (const digest of [digestOf('9'), digestOf('d')])
    t.match(await refusal(by(digest)), { code: 'not-promotable', message: /no release .* has succeeded/ })
  await close()
})

t.test('promotes nothing but what is current and good there', async (t) => {
  const { run, refusal, close } = await openScene()
  const promotion = { environment: production, what: { by: 'promote' as const, from: staging } }
  t.match(await refusal(promotion), { code: 'not-promotable', message: /never had a release/ })
  t.equal((await run(tagged('bad'))).outcome, 'reverted')
  t.match(await refusal(promotion), { code: 'not-promotable', message: /release 1 was reverted/ })
  t.match(await refusal({ what: { by: 'promote', from: staging } }), { code: 'invalid-request' })
  const nowhere = 'nowhere' as typeof staging
  t.match(await refusal({ what: { by: 'promote', from: nowhere } }), { code: 'unknown-environment' })
  await close()
})

t.test('an environment that takes promoted images takes no others', async (t) => {
  const { store, run, refusal, close } = await openScene()
  await set(store, production, { promotesFrom: staging })
  await run(tagged('v1'))
  const there = { environment: production }
  const command = /longshore promote api --from staging --to production$/
  t.match(await refusal({ ...there, ...tagged('v1') }), { code: 'promotion-required', message: command })
  const digest = { by: 'digest' as const, digest: digestOf('1') }
  t.match(await refusal({ ...there, what: digest }), { code: 'promotion-required' })
  t.equal((await run({ ...there, what: { by: 'promote', from: staging } })).outcome, 'succeeded')
  t.equal((await run({ ...there, what: { by: 'current' }, recreate: true })).outcome, 'succeeded')
  await t.rejects(set(store, staging, { promotesFrom: production }), { code: 'invalid-request' })
  await t.rejects(set(store, staging, { promotesFrom: 'nowhere' as typeof staging }), {
    code: 'unknown-environment'
  })
  await close()
})

t.test('goes back to good releases only, and tells when hosts may have to fetch one', async (t) => {
  const { run, refusal, close } = await openScene()
  t.match(await refusal({ what: { by: 'rollback', release: null } }), { code: 'nothing-to-roll-back-to' })
  await run(tagged('v1'))
  await run(tagged('bad'))
  for (const tag of ['v2', 'v3', 'v4', 'v5']) await run(tagged(tag))
  const back = (release: number | null) => ({ what: { by: 'rollback' as const, release } })
  t.match(await refusal(back(2)), {
    code: 'not-good',
    message: /release 2 never succeeded: it was reverted/,
    extra: { known: ['6', '5', '4', '3', '1'] }
  })
  t.match(await run(back(null)), { release: 5, digest: digestOf('4'), outcome: 'succeeded', warnings: [] })
  t.match(await run(back(6)), { release: 6, outcome: 'succeeded' })
  t.match(await run(back(1)), { release: 1, outcome: 'succeeded', warnings: [/older than the images/] })
  await close()
})

t.test('a restart brings the current release once more', async (t) => {
  const { scene, run, refusal, close } = await openScene()
  const restart = { what: { by: 'current' as const }, recreate: true }
  t.match(await refusal(restart), { code: 'wrong-state', message: /no current release/ })
  await run(tagged('v1'))
  const before = scene.sent.length
  t.match(await run(restart), { release: 1, outcome: 'succeeded', unchanged: false })
  t.ok(scene.sent.slice(before).includes('a release'))
  t.notOk(scene.sent.slice(before).includes('a resolve'))
  await close()
})

t.test('a service is removed, also when no host is left that it is placed on', async (t) => {
  const { scene, store, run, refusal, close } = await openScene()
  const removal = { what: { by: 'nothing' as const }, mode: 'remove' as const }
  t.match(await refusal(removal), { code: 'wrong-state', message: /never had a release/ })
  await run(tagged('v1'))
  t.match(await run({ ...removal, ...keyed }), { outcome: 'succeeded', release: 1 })
  t.ok(scene.sent.includes('a remove'))
  t.equal(await store.currentRelease(staging, api), undefined)
  t.match(await refusal({ what: { by: 'current' } }), { code: 'wrong-state' })
  t.match(await run({ what: { by: 'rollback', release: 1 } }), { release: 1, outcome: 'succeeded' })
  await store.transaction(async (tx) => {
    const host = await tx.agent(agentOf('a'))
    if (host !== undefined) await tx.putAgent({ ...host, state: 'revoked' })
  })
  t.match(await refusal(tagged('v2')), { code: 'no-targets' })
  t.match(await run({ ...removal, offline: 'skip' }), {
    outcome: 'succeeded',
    targets: [],
    reason: 'api has no host to be removed from'
  })
  t.equal(await store.currentRelease(staging, api), undefined)
  await close()
})

t.test('what is frozen refuses every change, and a deployment in progress goes on', async (t) => {
  const { scene, store, ask, refusal, close } = await openScene()
  const { writer, clock } = scene
  const freezes = createFreezes({ store, writer, clock })
  const begun = await ask(tagged('v1'))
  const anna = { ...jenkins, name: 'anna' }
  const wish = { service: null, reason: 'holiday' }
  t.match(await freezes.freeze(anna, staging, wish), { holder: 'anna', inProgress: [begun.id] })
  await scene.settle()
  t.equal((await scene.deployments.view(begun.id)).outcome, 'succeeded')
  const changes: Partial<DeployRequest>[] = [
    tagged('v2'),
    { ...tagged('v2'), mode: 'rehearse' },
    { what: { by: 'rollback', release: null } },
    { what: { by: 'promote', from: production } },
    { what: { by: 'current' }, recreate: true },
    { what: { by: 'nothing' }, mode: 'remove' }
  ]
  for (const change of changes) {
    t.match(await refusal(change), {
      code: 'frozen',
      message: /^staging was locked by anna at 2023-11-14T.*: holiday$/,
      extra: { freeze: { environment: 'staging', service: null, holder: 'anna', reason: 'holiday' } }
    })
  }
  t.match(await scene.deployments.status({ environment: staging, service: api }), [
    { freeze: { service: null, reason: 'holiday' }, lock: null }
  ])
  await freezes.unfreeze(jenkins, staging, null)
  await freezes.freeze(anna, staging, { service: worker, reason: 'move' })
  t.equal((await ask(tagged('v2'))).outcome, null, 'another service is free')
  await close()
})

t.test('what is paused goes on no further while it is frozen, and can be cancelled', async (t) => {
  const { scene, store, run, close } = await openScene()
  const { writer, clock, deployments } = scene
  const freezes = createFreezes({ store, writer, clock })
  await run(tagged('v1'))
  await store.transaction(async (tx) => {
    const row = await tx.spec(staging, api)
    if (row === undefined) throw new Error('there is no spec')
    const update = { ...row.spec.update, failureAction: 'pause' as const }
    await tx.insertSpec({ ...row, revision: 2, spec: { ...row.spec, update } })
  })
  const { id, phase } = await run(tagged('bad'))
  t.equal(phase, 'paused')
  await freezes.freeze({ ...jenkins, name: 'anna' }, staging, { service: api, reason: 'look first' })
  await t.rejects(deployments.resume(jenkins, id), { code: 'frozen', message: /anna.*look first/ })
  await deployments.cancel(jenkins, id)
  await scene.settle()
  t.match(await deployments.view(id), { outcome: 'cancelled' })
  await t.rejects(deployments.resume(jenkins, id), { code: 'already-ended' })
  await close()
})

t.test('a plan says what would refuse the real request, and asks the hosts all the same', async (t) => {
  const { scene, store, ask, run, close } = await openScene()
  const { writer, clock } = scene
  const plan = { ...tagged('v1'), mode: 'plan' as const }
  t.match(await run({ ...plan, ...keyed }), { outcome: 'succeeded', refusals: [] })
  await createFreezes({ store, writer, clock }).freeze(jenkins, staging, { service: api, reason: 'move' })
  await set(store, staging, { promotesFrom: production })
  const view = await run({ ...plan, ...keyed })
  t.match(view, {
    outcome: 'refused',
    reason: /locked by jenkins at .*: move; .*longshore promote api --from production --to staging/,
    refusals: [{ code: 'frozen' }, { code: 'promotion-required' }],
    targets: [{ host: 'a', plan: { steps: ['create'] } }]
  })
  const other = { ...plan, service: worker, what: { by: 'rollback' as const, release: null } }
  t.match(await ask(other).catch((error: unknown) => error), { code: 'nothing-to-roll-back-to' })
  t.same(await store.deployments({ environment: staging }), [])
  await close()
})

t.test('a plan tells of a deployment that holds the service', async (t) => {
  const { ask, run, close } = await openScene()
  const { id } = await ask({ service: worker, ...tagged('v1'), reason: 'RFC 12' })
  const view = await run({ service: worker, ...tagged('v2'), mode: 'plan' })
  t.match(view, { outcome: 'refused', refusals: [{ code: 'locked', detail: new RegExp(`${id}.*RFC 12`) }] })
  await close()
})

t.test('a freeze is changed by whoever set it, and taken away once', async (t) => {
  const { scene, store, close } = await openScene()
  const { writer, clock } = scene
  const freezes = createFreezes({ store, writer, clock })
  const wish = { service: api, reason: 'move' }
  const first = await freezes.freeze(jenkins, staging, wish)
  clock.move(1000)
  const longer = await freezes.freeze(jenkins, staging, { ...wish, reason: 'longer move' })
  t.match(longer, { reason: 'longer move', sinceMs: first.sinceMs })
  await t.rejects(freezes.freeze({ ...jenkins, name: 'anna' }, staging, wish), {
    code: 'already-exists',
    message: /locked by jenkins/
  })
  const none = 'none' as typeof api
  await t.rejects(freezes.freeze(jenkins, staging, { ...wish, service: none }), { code: 'unknown-service' })
  await freezes.freeze(jenkins, staging, { service: null, reason: 'holiday' })
  await freezes.unfreeze(jenkins, staging, api)
  await t.rejects(freezes.unfreeze(jenkins, staging, api), {
    code: 'wrong-state',
    message: /api in staging is not locked; staging was locked by jenkins/
  })
  await close()
})

t.test('all that is wrong with any service of a request is said at once, and nothing is begun', async (t) => {
  const { store, ask, refusal, close } = await openScene()
  await ask({ service: worker, ...tagged('v1') })
  const none = 'none' as typeof api
  const services = [{ service: api }, { service: worker }, { service: none }]
  t.match(await refusal({ services }), {
    code: 'locked',
    message: /^worker in staging is being deployed by jenkins.*; no service none has been applied/,
    extra: {
      lock: { service: 'worker', holder: 'jenkins' },
      errors: [
        { service: 'worker', code: 'locked' },
        { service: 'none', code: 'unknown-service' }
      ]
    }
  })
  t.equal(await store.lock(staging, api), undefined)
  await close()
})
