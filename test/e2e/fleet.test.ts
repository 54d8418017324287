// Deployments over three hosts in one go: what fails on one host, is only planned or rehearsed, is aborted by a
// pipeline or paused ends as the exit code says, and every host shows it.
import t, { type Test } from 'tap'
import { hostOf, realPartsOptions, startFaultFleet } from '../support/e2e-fault-fleet.ts'
import { deployWeb, playScenes, Story, serviceOf } from '../support/e2e-fleet-story.ts'
import {
  all,
  detailsOf,
  everythingOnAll,
  expectPages,
  holdSwitch,
  pagesOf,
  refuseOn,
  statesOf,
  thrice,
  waitForCleanUp,
  watchPages
} from '../support/e2e-fleet-story-looks.ts'
import { testOnRealParts } from '../support/real-parts.ts'

const failInSecondBatch = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await fleet.push('v3')
  await refuseOn(hostOf(fleet, 2), 'web', 'v3')
  const waiting = await fleet.start(...deployWeb('v3'))
  const { exitCode, document, output } = await waiting.end()
  t.match(output, /"host":"host1"[^\n]*"state":"released"/, 'the first batch had switched')
  t.match({ exitCode, document }, { exitCode: 1, document: { outcome: 'reverted', release: 3 } }, output)
  t.strictSame(statesOf(document), { host1: 'reverted', host2: 'failed', host3: 'untouched' })
  t.match(document.targets[1]?.reason, /health/)
  await expectPages(t, story.fleet.hosts, 'v2')
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
  await waitForCleanUp(fleet.hosts)
  const [before, listed] = [await everythingOnAll(fleet.hosts), await story.deployments()]
  const planned = await story.expect(t, 'succeeded', ...deployWeb('v4', '--plan'))
  const nowhere = await story.expect(t, 'refused', ...deployWeb('nowhere', '--plan'))
  t.match(nowhere.reason, /nowhere/)
  t.strictSame(await everythingOnAll(fleet.hosts), before, 'nothing on any host differs')
  t.strictSame(await story.deployments(), listed, 'no list shows a plan')
  t.match(planned, { mode: 'plan', digest, previousRelease: 2 })

  const real = await story.expect(t, 'succeeded', ...deployWeb('v4'))
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
  await expectPages(t, story.fleet.hosts, 'v4')
}

const rehearse = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await waitForCleanUp(fleet.hosts)
  const before = await Promise.all(fleet.hosts.map((host) => detailsOf(host)))
  const ids = (containers: typeof before) =>
    containers.map((own) => own.map(({ Id, Name, State }) => [Id, Name, State.Running, State.StartedAt]))
  const watch = watchPages(fleet.hosts, 'v4')
  const bad = await story.expect(t, 'refused', ...deployWeb('v3', '--rehearse'))
  t.match(bad.targets, [{ serving: 'old' }, { reason: /health/, serving: 'old' }, { serving: 'old' }])
  await fleet.push('v5')
  const good = await story.expect(t, 'succeeded', ...deployWeb('v5', '--rehearse'))
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
    const job = await story.startPipeline('jenkins-job-1', ...deployWeb('v5'))
    const held = await job.waiting.meanwhile(reached)
    t.match(await story.status('test', 'web'), { lock: { holder: 'admin' } })
    process.kill(job.cli, 'SIGTERM')
    await job.shell.waitForLine(/SIGTERM: cancelling/)
    held.open()
    t.equal(await job.exit(), 'exit=6')
    t.match((await job.waiting.end()).document, { outcome: 'cancelled' })
    await expectPages(t, story.fleet.hosts, 'v4')
    t.match(await story.status('test', 'web'), { lock: null, release: 4 })
  })

  await t.test('SIGKILL to the job and its command: the deployment ends by itself', async (t) => {
    const reached = holdSwitch(hostOf(fleet, 2))
    const job = await story.startPipeline('jenkins-job-2', ...deployWeb('v5'))
    const held = await job.waiting.meanwhile(reached)
    process.kill(job.cli, 'SIGKILL')
    t.equal(await job.exit(), 'exit=137')
    const { lock } = await story.status('test', 'web')
    const refused = await story.tell(...deployWeb('v4'))
    t.match(refused, { exitCode: 4, document: { code: 'locked', lock: { deployment: lock?.deployment } } })

    const next = await fleet.start(...deployWeb('v4', '--wait-for-lock', '1m'))
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
    await expectPages(t, story.fleet.hosts, 'v4')
    t.match(await story.status('test', 'web'), { lock: null, tag: 'v4' })
  })

  await t.test('the same build once more attaches', async (t) => {
    const reached = holdSwitch(hostOf(fleet, 1))
    const first = await story.startPipeline('jenkins-job-3', ...deployWeb('v5'))
    const held = await first.waiting.meanwhile(reached)
    const count = (await story.deployments()).length
    const second = await story.startPipeline('jenkins-job-3', ...deployWeb('v5'))
    await second.shell.waitForLine(/"type":"deployment"/)
    held.open()
    t.strictSame([await first.exit(), await second.exit()], ['exit=0', 'exit=0'])
    const third = await story.startPipeline('jenkins-job-3', ...deployWeb('v5'))
    t.equal(await third.exit(), 'exit=0', 'also after its success')
    const { id } = (await first.waiting.end()).document
    for (const job of [second, third])
      t.match((await job.waiting.end()).document, { id, outcome: 'succeeded', attached: true })
    t.equal((await story.deployments()).length, count, 'one deployment')
    await expectPages(t, story.fleet.hosts, 'v5')

    const key = ['--idempotency-key', 'release-9']
    t.equal((await story.tell(...deployWeb('v5', ...key))).exitCode, 0)
    const other = await fleet.controller.cli(...deployWeb('v4', ...key))
    t.equal(other.exitCode, 2, 'the same key with another request')
    await expectPages(t, story.fleet.hosts, 'v5')
  })
}

const pauseOnCanary = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const pausing = { update: { failure_action: 'pause', parallelism: 2 }, 'x-longshore': { canary: 1 } }
  await story.apply('test', { web: serviceOf(fleet.registry.name, 'web', 80, pausing) })
  await fleet.push('v6')
  await refuseOn(hostOf(fleet, 1), 'web', 'v6')
  const others = () =>
    Promise.all([2, 3].map(async (number) => (await detailsOf(hostOf(fleet, number)))[0]?.Id))
  const before = await others()

  const pauseIt = async () => {
    const waiting = await fleet.start(...deployWeb('v6'))
    const line = await waiting.process.waitForLine(/"phase":"paused".*"pause":\{/, 30_000)
    const id = /dep_[0-9a-v]+/.exec(line)?.[0] ?? ''
    t.ok(await story.isPhase(id, 'paused'))
    t.strictSame(await others(), before, 'the others were never touched')
    await expectPages(t, fleet.hosts, 'v5')
    return { waiting, id }
  }
  const first = await pauseIt()
  await story.expect(t, 'cancelled', 'cancel', first.id)
  t.match(await first.waiting.end(), { exitCode: 6, document: { id: first.id, outcome: 'cancelled' } })
  await expectPages(t, fleet.hosts, 'v5')
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
  t.strictSame(statesOf(await story.expect(t, 'succeeded', ...deployWeb('v7'))), all('released'))
  await expectPages(t, fleet.hosts, 'v7')
}

testOnRealParts(
  t,
  'over three hosts every deployment ends as its exit code says',
  async (t) => {
    const fleet = await startFaultFleet(t, 3)
    const story = new Story(t, fleet)
    await story.apply('test', { web: serviceOf(fleet.registry.name, 'web', 80) })
    for (const tag of ['v1', 'v2']) {
      await fleet.push(tag)
      await story.expect(t, 'succeeded', ...deployWeb(tag))
      await expectPages(t, story.fleet.hosts, tag)
    }
    await playScenes(t, story, {
      'broken in the second batch: the first batch goes back': failInSecondBatch,
      'a plan touches nothing and says what then runs': planOnly,
      'a rehearsal takes nothing away from anybody': rehearse,
      'a pipeline that is killed leaves no lock': abortPipeline,
      'a canary that fails pauses the deployment': pauseOnCanary
    })
  },
  realPartsOptions
)
