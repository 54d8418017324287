// Deployments over three hosts in one go: what fails on one host, is only planned or rehearsed, is aborted by a
// pipeline, paused, or made of several services ends as the exit code says, and every host shows it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostOf, realPartsOptions, startFaultFleet } from '../support/e2e-fault-fleet.ts'
import {
  detailsOf,
  everythingOn,
  holdSwitch,
  pagesOf,
  refuseOn,
  Story,
  serviceOf,
  watchPages
} from '../support/e2e-fleet-story.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const secondPort = 81
const web = ['web', '--env', 'test']
const deploy = (tag: string, ...more: string[]): string[] => ['deploy', ...web, '--tag', tag, ...more]
const thrice = (page: string | null) => [page, page, page]
const everywhere = (story: Story) => Promise.all(story.fleet.hosts.map(everythingOn))
const statesOf = ({ targets }: { targets: { host: string; state: string }[] }) =>
  Object.fromEntries(targets.map(({ host, state }) => [host, state]))
const all = (state: string) => ({ host1: state, host2: state, host3: state })

const expectPages = async (t: Test, { fleet }: Story, page: string, port?: number): Promise<void> => {
  t.strictSame(await pagesOf(fleet.hosts, port), thrice(page), `every host answers ${page}`)
}
const applyWeb = (story: Story, more: Parameters<typeof serviceOf>[3] = {}): Promise<void> =>
  story.apply('test', { web: serviceOf(story.fleet.registry.name, 'web', 80, more) })

const failInSecondBatch = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await fleet.push('v3')
  await refuseOn(hostOf(fleet, 2), 'web', 'v3')
  const waiting = await fleet.start(...deploy('v3'))
  const { exitCode, document, output } = await waiting.end()
  t.match(output, /"host":"host1"[^\n]*"state":"released"/, 'the first batch had switched')
  t.match({ exitCode, document }, { exitCode: 1, document: { outcome: 'reverted', release: 3 } }, output)
  t.strictSame(statesOf(document), { host1: 'reverted', host2: 'failed', host3: 'untouched' })
  t.match(document.targets[1]?.reason, /health/)
  await expectPages(t, story, 'v2')
  const status = await story.waitForNoDrift('test', 'web')
  t.match(status, { release: 2, tag: 'v2' })
}

/** Which step a line of a plan is about. */
const kindOf = (line: string): string | undefined =>
  [
    [/^check that \d+ bytes/, 'check-disk'],
    [/^check that these ports/, 'check-ports'],
    [/^fetch /, 'fetch-image'],
    [/^verify /, 'verify-image'],
    [/^tag /, 'tag-image'],
    [/^create /, 'create-container'],
    [/^stop .* keep it/, 'retire-container'],
    [/^start /, 'start-container'],
    [/^wait until healthy/, 'await-healthy'],
    [/^watch for/, 'monitor']
  ].find(([words]) => (words as RegExp).test(line))?.[1] as string | undefined

const planOnly = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const digest = await fleet.push('v4')
  const [before, listed] = [await everywhere(story), await story.deployments()]
  const planned = await story.expect(t, 'succeeded', ...deploy('v4', '--plan'))
  const nowhere = await story.expect(t, 'refused', ...deploy('nowhere', '--plan'))
  t.match(nowhere.reason, /nowhere/)
  t.strictSame(await everywhere(story), before, 'nothing on any host differs')
  t.strictSame(await story.deployments(), listed, 'no list shows a plan')
  t.match(planned, { mode: 'plan', digest, previousRelease: 2 })

  const real = await story.expect(t, 'succeeded', ...deploy('v4'))
  const promised = ({ release, digest, repository, specRevision, targets }: typeof real) => ({
    ...{ release, digest, repository, specRevision },
    batches: targets.map(({ host, batch }) => [host, batch])
  })
  t.strictSame(promised(real), promised(planned), 'it ran as planned')
  for (const [index, { plan }] of planned.targets.entries()) {
    const container = (await detailsOf(hostOf(fleet, index + 1), 'web')).find(({ State }) => State.Running)
    t.match(plan, { isRunning: false, serves: { release: 2 }, refusals: [] })
    const done = real.targets[index]?.steps
      ?.map(({ step }) => step)
      .filter((step) => step !== 'resolve-image')
    t.strictSame(
      plan?.steps.map(kindOf),
      [...new Set(done)],
      'the steps that were done are those of the plan'
    )
    t.match(container, { Name: '/web-r4-0', Config: { Image: new RegExp(digest) } })
    t.ok(plan?.steps.some((step) => /^create web-r4-0\b/.test(step)))
  }
  await expectPages(t, story, 'v4')
}

const rehearse = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const before = await Promise.all(fleet.hosts.map((host) => detailsOf(host)))
  const ids = (containers: typeof before) =>
    containers.map((own) => own.map(({ Id, Name, State }) => [Id, Name, State.Running, State.StartedAt]))
  const watch = watchPages(fleet.hosts, 'v4')
  const bad = await story.expect(t, 'refused', ...deploy('v3', '--rehearse'))
  t.match(bad.targets, [{ serving: 'old' }, { reason: /health/, serving: 'old' }, { serving: 'old' }])
  await fleet.push('v5')
  const good = await story.expect(t, 'succeeded', ...deploy('v5', '--rehearse'))
  t.match(good, { mode: 'rehearse' })
  const { asked, wrong } = await watch.end()
  t.strictSame(wrong, [], `all of ${asked} requests were answered`)
  t.ok(asked > 30)
  t.strictSame(ids(await Promise.all(fleet.hosts.map((host) => detailsOf(host)))), ids(before))
  t.match(await story.status('test', 'web'), { release: 4, tag: 'v4', lock: null })
}

const abortPipeline = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await t.test('SIGTERM to the command: everything goes back', async (t) => {
    const reached = holdSwitch(hostOf(fleet, 2))
    const job = await story.startPipeline('jenkins-job-1', ...deploy('v5'))
    const held = await job.waiting.meanwhile(reached)
    t.match(await story.status('test', 'web'), { lock: { holder: 'admin' } })
    process.kill(job.cli, 'SIGTERM')
    await job.shell.waitForLine(/SIGTERM: cancelling/)
    held.open()
    t.equal(await job.exit(), 'exit=6')
    t.match((await job.waiting.end()).document, { outcome: 'cancelled' })
    await expectPages(t, story, 'v4')
    t.match(await story.status('test', 'web'), { lock: null, release: 4 })
  })

  await t.test('SIGKILL to the job and its command: the deployment ends by itself', async (t) => {
    const reached = holdSwitch(hostOf(fleet, 2))
    const job = await story.startPipeline('jenkins-job-2', ...deploy('v5'))
    const held = await job.waiting.meanwhile(reached)
    process.kill(job.cli, 'SIGKILL')
    t.equal(await job.exit(), 'exit=137')
    const { lock } = await story.status('test', 'web')
    const refused = await story.tell(...deploy('v4'))
    t.match(refused, { exitCode: 4, document: { code: 'locked', lock: { deployment: lock?.deployment } } })

    const next = await fleet.start(...deploy('v4', '--wait-for-lock', '1m'))
    await next.process.waitForLine(/waiting up to/)
    held.open()
    const { exitCode, document, output } = await next.end()
    t.match({ exitCode, document }, { exitCode: 0, document: { outcome: 'succeeded', tag: 'v4' } }, output)
    const killed = await story.ask<object>(`/v1/deployments/${lock?.deployment}`)
    t.match(killed, {
      outcome: 'succeeded',
      tag: 'v5',
      targets: thrice('x').map(() => ({ state: 'released' }))
    })
    await expectPages(t, story, 'v4')
    t.match(await story.status('test', 'web'), { lock: null, tag: 'v4' })
  })

  await t.test('the same build once more attaches', async (t) => {
    const reached = holdSwitch(hostOf(fleet, 1))
    const first = await story.startPipeline('jenkins-job-3', ...deploy('v5'))
    const held = await first.waiting.meanwhile(reached)
    const count = (await story.deployments()).length
    const second = await story.startPipeline('jenkins-job-3', ...deploy('v5'))
    await second.shell.waitForLine(/"type":"deployment"/)
    held.open()
    t.strictSame([await first.exit(), await second.exit()], ['exit=0', 'exit=0'])
    const third = await story.startPipeline('jenkins-job-3', ...deploy('v5'))
    t.equal(await third.exit(), 'exit=0', 'also after its success')
    const { id } = (await first.waiting.end()).document
    for (const job of [second, third])
      t.match((await job.waiting.end()).document, { id, outcome: 'succeeded', attached: true })
    t.equal((await story.deployments()).length, count, 'one deployment')
    await expectPages(t, story, 'v5')

    const key = ['--idempotency-key', 'release-9']
    t.equal((await story.tell(...deploy('v5', ...key))).exitCode, 0)
    const other = await fleet.controller.cli(...deploy('v4', ...key))
    t.equal(other.exitCode, 2, 'the same key with another request')
    await expectPages(t, story, 'v5')
  })
}

const pauseOnCanary = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await applyWeb(story, {
    update: { failure_action: 'pause', parallelism: 2 },
    'x-longshore': { canary: 1 }
  })
  await fleet.push('v6')
  await refuseOn(hostOf(fleet, 1), 'web', 'v6')
  const others = () =>
    Promise.all([2, 3].map(async (number) => (await detailsOf(hostOf(fleet, number)))[0]?.Id))
  const before = await others()

  const pauseIt = async () => {
    const waiting = await fleet.start(...deploy('v6'))
    const line = await waiting.process.waitForLine(/"phase":"paused".*"pause":\{/, 30_000)
    const id = /dep_[0-9a-v]+/.exec(line)?.[0] ?? ''
    t.ok(await story.isPhase(id, 'paused'))
    t.strictSame(await others(), before, 'the others were never touched')
    await expectPages(t, story, 'v5')
    return { waiting, id }
  }
  const first = await pauseIt()
  await story.expect(t, 'cancelled', 'cancel', first.id)
  t.match(await first.waiting.end(), { exitCode: 6, document: { id: first.id, outcome: 'cancelled' } })
  await expectPages(t, story, 'v5')
  t.strictSame(await others(), before)
  t.equal((await fleet.controller.cli('resume', first.id)).exitCode, 4, 'it has ended')

  const second = await pauseIt()
  const resumed = await story.expect(t, 'mixed', 'resume', second.id)
  t.strictSame(statesOf(resumed), { host1: 'failed', host2: 'released', host3: 'released' })
  t.strictSame(
    resumed.targets.map(({ host, batch }) => [host, batch]),
    [
      ['host1', 1],
      ['host2', 2],
      ['host3', 2]
    ]
  )
  t.match(await second.waiting.end(), { exitCode: 5, document: { id: second.id } })
  t.strictSame(await pagesOf(fleet.hosts), ['v5', 'v6', 'v6'])

  await fleet.push('v7')
  t.strictSame(statesOf(await story.expect(t, 'succeeded', ...deploy('v7'))), all('released'))
  await expectPages(t, story, 'v7')
}

const runOnce = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const folder = join(makeTestFolder(t), 'once')
  mkdirSync(folder)
  // Every host has the same folder, so that a second run anywhere is seen.
  const volumes = ['web-data:/data', `${folder}:/once`]
  const wait = 'until [ -e /once/go ]; do /bin/busybox sleep 0.1; done'
  const commandThat = (script: string) => ({
    volumes,
    'x-longshore': { release_command: ['/bin/sh', '-c', script] }
  })
  const runs = () => readFileSync(join(folder, 'runs'), 'utf8').split('\n').filter(Boolean)
  const ids = async () =>
    (await Promise.all(fleet.hosts.map((host) => detailsOf(host)))).flat().map(({ Id }) => Id)

  await applyWeb(
    story,
    commandThat(`echo begun >> /once/runs; ${wait}; echo migrated; echo done >> /once/runs`)
  )
  const before = await ids()
  const waiting = await fleet.start(...deploy('v7'))
  await waiting.meanwhile(
    waitUntil('the command to run', () => existsSync(join(folder, 'runs')) && runs().length > 0)
  )
  await fleet.controller.kill()
  t.strictSame(await pagesOf(fleet.hosts), thrice('v7'))
  await fleet.controller.start()
  writeFileSync(join(folder, 'go'), '')
  const { exitCode, document, output } = await waiting.end()
  t.match({ exitCode, document }, { exitCode: 0, document: { outcome: 'succeeded' } }, output)
  t.strictSame(runs(), ['begun', 'done'], 'once, although the controller was killed')
  t.match((document as unknown as { services: object[] }).services, [
    { releaseCommand: { state: 'succeeded', exitCode: 0, log: ['migrated'] } }
  ])
  t.notSame(await ids(), before)
  await expectPages(t, story, 'v7')

  await applyWeb(story, commandThat('echo begun >> /once/runs; echo "no such table"; exit 9'))
  await fleet.push('v9')
  const untouched = await ids()
  const failed = await story.expect(t, 'refused', ...deploy('v9'))
  t.match(failed.services, [{ releaseCommand: { state: 'failed', exitCode: 9, log: ['no such table'] } }])
  t.strictSame(runs(), ['begun', 'done', 'begun'], 'once')
  t.strictSame(await ids(), untouched, 'nothing was stopped, nothing is left')
  await expectPages(t, story, 'v7')
  await applyWeb(story)
  await story.expect(t, 'succeeded', ...deploy('v7'))
}

const deploySeveral = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const both = ['deploy', '--services', 'web,api', '--env', 'test']
  await story.apply('test', { api: serviceOf(fleet.registry.name, 'api', secondPort) })
  const first = await story.expect(t, 'succeeded', ...both, '--tag', 'v7')
  t.match(first.services, [
    { service: 'web', unchanged: true },
    { service: 'api', unchanged: false }
  ])
  await expectPages(t, story, 'v7', secondPort)

  await fleet.push('v8')
  await refuseOn(hostOf(fleet, 3), 'api', 'v8')
  const failed = await story.expect(t, 'reverted', ...both, '--tag', 'v8')
  const of = (service: string) => failed.targets.filter((target) => target.service === service)
  t.strictSame(statesOf({ targets: of('web') }), all('reverted'), 'web had switched everywhere')
  t.strictSame(statesOf({ targets: of('api') }), { host1: 'reverted', host2: 'reverted', host3: 'failed' })
  await expectPages(t, story, 'v7')
  await expectPages(t, story, 'v7', secondPort)
  for (const service of ['web', 'api']) t.match(await story.waitForNoDrift('test', service), { tag: 'v7' })
}

const goBackWithoutRegistry = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const { digest } = await story.expect(t, 'succeeded', ...deploy('v8'))
  await expectPages(t, story, 'v8')
  await fleet.registry.stop()
  const back = await story.expect(t, 'succeeded', 'rollback', ...web)
  await fleet.registry.start()
  t.match(back, { tag: 'v7' })
  t.not(back.digest, digest)
  await expectPages(t, story, 'v7')
}

const removeService = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const webBefore = await Promise.all(fleet.hosts.map((host) => detailsOf(host, 'web')))
  const removed = await story.expect(t, 'succeeded', 'remove', 'api', '--env', 'test', '--yes')
  t.match(removed, { mode: 'remove' })
  t.strictSame(await pagesOf(fleet.hosts, secondPort), thrice(null))
  for (const [index, host] of fleet.hosts.entries()) {
    t.strictSame(await detailsOf(host, 'api'), [], `nothing of it is left on ${host.name}`)
    t.strictSame(
      (await detailsOf(host, 'web')).map(({ Id, State }) => [Id, State.StartedAt]),
      webBefore[index]?.map(({ Id, State }) => [Id, State.StartedAt]),
      'the other service is as it was'
    )
  }
  t.match(await story.status('test', 'api'), { release: null, lock: null })
}

const replicate = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const apply = (deploy: object) =>
    story.apply('test', {
      api: serviceOf(fleet.registry.name, 'api', null, { deploy: { replicas: 2, ...deploy } })
    })
  const running = () =>
    Promise.all(
      fleet.hosts.map(
        async (host) => (await detailsOf(host, 'api')).filter(({ State }) => State.Running).length
      )
    )
  await apply({})
  await story.expect(t, 'succeeded', 'deploy', 'api', '--env', 'test', '--tag', 'v7')
  t.strictSame(await running(), [2, 2, 2])

  await apply({ placement: { constraints: ['node.labels.host != host3'] } })
  const narrower = await story.expect(t, 'succeeded', 'deploy', 'api', '--env', 'test', '--tag', 'v8')
  t.strictSame(statesOf(narrower), { host1: 'released', host2: 'released' })
  await waitUntil(
    'the service to leave host 3',
    async () => (await detailsOf(hostOf(fleet, 3), 'api')).length === 0,
    {
      deadlineMs: 30_000
    }
  )
  t.strictSame(await running(), [2, 2, 0])
  const status = await story.waitForNoDrift('test', 'api')
  t.strictSame(
    status.hosts.map(({ host }) => host),
    ['host1', 'host2']
  )
  await expectPages(t, story, 'v7')
}

const freeze = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const before = await everywhere(story)
  await story.done('lock', 'test', 'web', '--reason', 'the auditors are here')
  for (const command of [deploy('v8'), ['rollback', ...web], ['restart', ...web]]) {
    const told = await story.tell(...command)
    t.match(told, { exitCode: 4, document: { id: null, code: 'frozen', freeze: { holder: 'admin' } } })
    t.match(told.stderr, /the auditors are here/)
  }
  t.match(await story.status('test', 'web'), { freeze: { reason: 'the auditors are here' } })
  t.strictSame(await everywhere(story), before)
  await story.done('unlock', 'test', 'web')
  const ids = async () => {
    const seen = await Promise.all(fleet.hosts.map((host) => detailsOf(host, 'web')))
    return seen.flat().flatMap(({ Id, State }) => (State.Running ? [Id] : []))
  }
  const former = await ids()
  await story.expect(t, 'succeeded', 'restart', ...web)
  t.ok(
    (await ids()).every((id) => !former.includes(id)),
    'every container is new'
  )
  await expectPages(t, story, 'v7')
}

testOnRealParts(
  t,
  'over three hosts every deployment ends as its exit code says',
  async (t) => {
    const fleet = await startFaultFleet(t, 3)
    const story = new Story(t, fleet)
    await applyWeb(story)
    for (const tag of ['v1', 'v2']) {
      await fleet.push(tag)
      await story.expect(t, 'succeeded', ...deploy(tag))
      await expectPages(t, story, tag)
    }
    const scenes = {
      'broken in the second batch: the first batch goes back': failInSecondBatch,
      'a plan touches nothing and says what then runs': planOnly,
      'a rehearsal takes nothing away from anybody': rehearse,
      'a pipeline that is killed leaves no lock': abortPipeline,
      'a canary that fails pauses the deployment': pauseOnCanary,
      'a release command runs once': runOnce,
      'two services are one deployment': deploySeveral,
      'a rollback needs no registry': goBackWithoutRegistry,
      'a removed service is gone everywhere': removeService,
      'replicas run on each host, and leave it': replicate,
      'what a person locked stays as it is': freeze
    }
    for (const [title, scene] of Object.entries(scenes)) {
      await t.test(title, (t) => scene(t, story))
      // The next one begins with what this one leaves.
      if (!t.passing()) return
    }
  },
  realPartsOptions
)
