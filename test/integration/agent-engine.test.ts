// What the agent makes of a real engine's and a real registry's answers: credentials, outages, full disks, checks
// and probes, networks, events, and strangers that tidy up or stop containers in the middle of a run.
import { randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServiceSpec } from '@longshore/protocol'
import t from 'tap'
import { createClock } from '../../packages/agent/src/adapters/clock.ts'
import { createDockerClient } from '../../packages/agent/src/adapters/docker/client.ts'
import { createCredentials } from '../../packages/agent/src/adapters/docker/credentials.ts'
import { createEngine } from '../../packages/agent/src/adapters/docker/engine.ts'
import { createContainerWatch } from '../../packages/agent/src/adapters/docker/watch.ts'
import { startGuardedRegistry } from '../support/guarded-registry.ts'
import { makeImage } from '../support/images.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleSpec, stageBody } from '../support/run-samples.ts'
import { RunsScene, statusOf } from '../support/runs-scene.ts'
import { waitUntil } from '../support/wait.ts'

const update = { ...sampleSpec().update, monitorMs: 0 }
const probe = { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 } as const
const specWith = (change: Partial<ServiceSpec> = {}) => sampleSpec({ update, probe, ...change })

testOnRealParts(t, 'the agent on a real engine', async (t) => {
  const scene = await RunsScene.start(t)
  const v1 = await scene.push('v1', 'unchecked')
  const v2 = await scene.push('v2', 'unchecked')
  const { client } = scene.host.engine
  const inspect = (name: string) => client.get<Record<string, never>>(`/containers/${name}/json`)

  await t.test('an image of some size is pulled with its bytes told, and our tag keeps it', async (t) => {
    const content = randomBytes(12 * 1024 * 1024)
    const image = makeImage([[{ type: 'file', path: 'data', content }]], { Cmd: ['/none'] })
    const big = await scene.push('big', image)
    const command = scene.command('big', stageBody(1, specWith(), big))
    const report = await scene.run(command)
    t.match(report.outcome, { status: 'succeeded', result: { image: { digest: big.digest } } })
    const pulled = scene.progress.flatMap((one) => (one.command === command.id ? (one.bytes ?? []) : []))
    t.ok(pulled.length > 0, 'bytes were told')
    t.ok(pulled.every(({ done, total }) => done <= total && total > content.length / 2))
    await client.post('/images/prune')
    // without the registry there is no second pull
    await scene.registry.stop()
    const kept = await scene.run(scene.command('big', stageBody(2, specWith(), big)))
    t.match(kept.outcome, { status: 'succeeded' }, JSON.stringify(kept))
    await scene.registry.start()
  })

  await t.test('an image that a stranger removes after its staging costs no downtime', async (t) => {
    await scene.deploy('lost', specWith(), 1, v1)
    await scene.run(scene.command('lost', stageBody(2, specWith(), v2)))
    // as `docker image prune --all`: tags do not keep an image from that
    await client.post('/images/prune?filters={"dangling":["false"]}')
    const report = await scene.run(scene.command('lost', releaseBody(2, specWith(), v2)))
    t.equal(statusOf(report), 'failed old 1', JSON.stringify(report))
    t.match(report.outcome, { error: { code: 'image-not-found', step: 'create-container' } })
    t.same(await scene.running('lost'), ['1'])
    await scene.removeAll('lost')
  })

  await t.test('a registry that is away is told from an image that is not there', async (t) => {
    const { repository } = v1
    const resolve = { kind: 'resolve', image: { repository, tag: 'v1', digest: null } }
    await scene.registry.stop()
    const away = await scene.run(scene.command('away', resolve))
    t.match(away.outcome, { status: 'failed', error: { code: 'registry-unavailable', detail: /web:v1/ } })
    const staged = await scene.run(scene.command('away', stageBody(1, specWith(), v2)))
    t.match(staged.outcome, {
      status: 'failed',
      error: { code: 'registry-unavailable', step: 'fetch-image' }
    })
    await scene.registry.start()
    const found = await scene.run(scene.command('away', resolve))
    t.match(found.outcome, { status: 'succeeded', result: { digest: v1.digest } }, JSON.stringify(found))
    const none = { kind: 'resolve', image: { repository, tag: 'nowhere', digest: null } }
    const gone = await scene.run(scene.command('away', none))
    t.match(gone.outcome, { status: 'failed', error: { code: 'image-not-found', detail: /web:nowhere/ } })
  })

  await t.test('a registry that asks who is there gets the credentials of the host', async (t) => {
    const name = scene.registry.name.replace(/:\d+$/, ':5001')
    // its password is `right`
    const account = 'longshore:$2y$04$.Ibgx7jOFBbj.kgNwaDlg.GylhtOm52eA8VYypxaSKP3bA6pS52xi'
    await startGuardedRegistry(t, { address: name, account, content: scene.registryContent })
    const guarded = { ...v1, repository: `${name}/web` }
    const helpers = makeTestFolder(t)
    const host = scene.beside(t, { env: { PATH: `${helpers}:${process.env['PATH']}` } })
    const resolve = { kind: 'resolve', image: { ...guarded, digest: null } }
    const logIn = (config: object) => writeFileSync(join(host.folder, 'config.json'), JSON.stringify(config))
    const outcomeOf = async () => (await host.run(host.command('guarded', resolve))).outcome
    const auth = (password: string) => Buffer.from(`longshore:${password}`).toString('base64')

    const denied = {
      status: 'failed',
      error: { code: 'registry-denied', detail: /does not let this host in for .*web:v1/ }
    }
    t.match(await outcomeOf(), denied, 'without any')
    logIn({ auths: { [name]: { auth: auth('wrong') } } })
    const wrong = await outcomeOf()
    t.match(wrong, denied, 'with wrong ones')
    t.notMatch(JSON.stringify(wrong), auth('wrong'))
    const vote = await host.run(host.command('guarded', stageBody(1, specWith(), guarded)))
    t.match(vote.outcome, { status: 'failed', error: { code: 'registry-denied' } }, JSON.stringify(vote))
    logIn({ auths: { [name]: { auth: auth('right') } } })
    t.match(await outcomeOf(), { status: 'succeeded', result: { digest: v1.digest } }, 'from auths')
    const helper = join(helpers, 'docker-credential-x')
    writeFileSync(
      helper,
      `#!/bin/sh\nread server\n[ "$server" = "${name}" ] && echo '{"Username":"longshore","Secret":"right"}'\n`
    )
    chmodSync(helper, 0o755)
    logIn({ credHelpers: { [name]: 'x' } })
    const pulled = await host.run(host.command('guarded', stageBody(2, specWith(), guarded)))
    t.match(pulled.outcome, { status: 'succeeded' }, `from a helper: ${JSON.stringify(pulled)}`)
  })

  await t.test('a disk with too little room is a vote with figures', async (t) => {
    const host = scene.beside(t, { minFreeBytes: 2 ** 50 })
    const report = await host.run(host.command('full', stageBody(1, specWith(), v1)))
    const detail = /has \d+ bytes free, 1125899906842624 are demanded/
    t.match(report.outcome, { status: 'failed', error: { code: 'disk-full', step: 'check-disk', detail } })
  })

  await t.test('checks and probes decide, and the old one serves again', async (t) => {
    const unhealthy = await scene.push('v3', 'unhealthy')
    t.equal(statusOf(await scene.deploy('judged', specWith(), 1, v1)), 'succeeded new 1', 'tcp probe')
    const http = {
      type: 'http',
      path: '/',
      port: 8888,
      status: { from: 200, to: 299 },
      intervalMs: 100,
      timeoutMs: 500
    } as const
    const page = await scene.deploy('judged', specWith({ probe: http }), 2, v2)
    t.equal(statusOf(page), 'succeeded new 2', 'http probe')
    const checked = await scene.deploy('judged', specWith({ probe: null }), 3, unhealthy)
    t.equal(statusOf(checked), 'failed old 2')
    t.match(checked.outcome, { error: { code: 'unhealthy', step: 'await-healthy' } }, 'HEALTHCHECK')
    const missing = specWith({ probe: { ...http, path: '/none' }, healthyTimeoutMs: 600 })
    const late = await scene.deploy('judged', missing, 4, v1)
    t.equal(statusOf(late), 'failed old 2')
    t.match(late.outcome, { error: { code: 'health-timeout', detail: /\/none on .*: status 404/ } })
    const nobody = { ...probe, port: 9999 }
    const published = [{ target: 9999, published: 8090, hostIp: null, protocol: 'tcp' as const }]
    const closed = specWith({ probe: nobody, ports: published, healthyTimeoutMs: 600 })
    const shut = await scene.deploy('judged', closed, 5, v1)
    t.match(shut.outcome, { error: { code: 'health-timeout' } }, "the engine's proxy is no answer")
    t.same(await scene.running('judged'), ['2'])
    await scene.removeAll('judged')
  })

  await t.test('a run that is cancelled, or whose container somebody stops, is undone', async (t) => {
    const watched = specWith({ update: { ...update, monitorMs: 60_000 } })
    await scene.deploy('undone', specWith(), 1, v1)
    await scene.run(scene.command('undone', stageBody(2, watched, v2)))
    const cancelled = scene.command('undone', releaseBody(2, watched, v2))
    scene.begin(cancelled)
    await scene.reached(cancelled, 'monitor')
    t.same(await scene.running('undone'), ['2'])
    scene.cancel(cancelled)
    const first = await scene.reportOf(cancelled)
    t.equal(statusOf(first), 'failed old 1')
    t.match(first.outcome, { error: { code: 'cancelled', step: 'monitor' } })
    t.same(await scene.running('undone'), ['1'])

    const stopped = scene.command('undone', releaseBody(3, watched, v2))
    scene.begin(stopped)
    await scene.reached(stopped, 'monitor')
    await client.post('/containers/undone-r3-0/stop?t=2')
    const second = await scene.reportOf(stopped)
    t.equal(statusOf(second), 'failed old 1', JSON.stringify(second))
    t.match(second.outcome, { error: { code: 'container-exited', step: 'monitor' } })
    t.same(await scene.running('undone'), ['1'])
    await scene.removeAll('undone')
  })

  await t.test('several replicas and several networks', async (t) => {
    const networks = [
      { name: 'front', aliases: ['site'] },
      { name: 'back', aliases: [] }
    ]
    const report = await scene.deploy('many', specWith({ replicas: 2, networks }), 1, v1)
    t.match(report.outcome, { status: 'succeeded', result: { containers: ['many-r1-0', 'many-r1-1'] } })
    for (const name of ['many-r1-0', 'many-r1-1']) {
      t.match(await inspect(name), { NetworkSettings: { Networks: { front: {}, back: {} } } })
    }
    const fewer = await scene.deploy('many', specWith({ networks }), 2, v2)
    t.equal(statusOf(fewer), 'succeeded new 2', JSON.stringify(fewer))
    t.same(await scene.running('many'), ['2'])
    await scene.removeAll('many')
  })

  await t.test('a settle keeps as many images as it is told', async (t) => {
    for (const release of [1, 2, 3, 4]) {
      const image = await scene.push(`p${release}`, 'unchecked')
      await scene.deploy('pruned', specWith(), release, image)
    }
    await scene.run(scene.command('pruned', { kind: 'settle', release: 4, keepImages: 1 }))
    const images = await client.get<{ RepoTags: string[] | null }[]>('/images/json')
    const tags = images.flatMap((one) => one.RepoTags ?? []).filter((tag) => tag.includes('/pruned:'))
    t.same(tags.toSorted(), ['longshore/pruned:production-r3', 'longshore/pruned:production-r4'])
    await scene.removeAll('pruned')
  })

  await t.test('the inventory follows the events of the engine', async (t) => {
    await scene.deploy('seen', specWith(), 1, v1)
    const docker = createDockerClient(`unix://${scene.host.engine.socketPath}`)
    const engine = createEngine(docker, createCredentials({}))
    const { installation } = scene.command('seen', { kind: 'remove', release: null })
    const watch = createContainerWatch(docker, engine, createClock(), {
      installation: () => installation,
      recordOf: () => undefined
    })
    t.teardown(() => watch.stop())
    let changes = 0
    watch.onChange(() => {
      changes += 1
    })
    await waitUntil('the stream of events to open', () => changes > 0)
    t.match(await watch.list(), [
      { name: 'seen-r1-0', state: 'running', release: 1, isKept: false, role: 'serving', changes: [] }
    ])
    const before = changes
    await client.post('/containers/seen-r1-0/stop?t=2')
    await waitUntil('the stop to be told', () => changes > before)
    await waitUntil('it to be seen as ended', async () => (await watch.list())[0]?.state === 'exited')
    const [seen] = await watch.list()
    t.match(seen, { exitCode: 0, isKept: false })
    await scene.removeAll('seen')
  })
})
