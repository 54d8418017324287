// What a service file says about the course of a deployment, and what people do beside it, over three hosts: a command
// before the switch, two services in one deployment, a rollback, a removal, replicas, a lock.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostOf, realPartsOptions, startFaultFleet } from '../support/e2e-fault-fleet.ts'
import { deployWeb, playScenes, Story, serviceOf, web } from '../support/e2e-fleet-story.ts'
import {
  all,
  detailsOf,
  everythingOnAll,
  expectPages,
  pagesOf,
  refuseOn,
  statesOf,
  thrice,
  waitForCleanUp
} from '../support/e2e-fleet-story-looks.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const secondPort = 81
/** Where the order of the hosts does not matter. */
const atOnce = { parallelism: 3 }
const applyWeb = (story: Story, more: Parameters<typeof serviceOf>[3] = {}): Promise<void> =>
  story.apply('test', { web: serviceOf(story.fleet.registry.name, 'web', 80, { update: atOnce, ...more }) })

const runOnce = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const folder = story.makeFolder('once')
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
  const waiting = await fleet.start(...deployWeb('v7'))
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
  await expectPages(t, fleet.hosts, 'v7')

  await applyWeb(story, commandThat('echo begun >> /once/runs; echo "no such table"; exit 9'))
  const same = await story.expect(t, 'succeeded', ...deployWeb('v7'))
  t.match(same, { unchanged: true, services: [{ releaseCommand: undefined }] }, 'nothing to prepare for')
  t.strictSame(runs(), ['begun', 'done'])
  await fleet.push('v9')
  const untouched = await ids()
  const failed = await story.expect(t, 'refused', ...deployWeb('v9'))
  t.match(failed.services, [{ releaseCommand: { state: 'failed', exitCode: 9, log: ['no such table'] } }])
  t.strictSame(runs(), ['begun', 'done', 'begun'], 'once')
  t.strictSame(await ids(), untouched, 'nothing was stopped, nothing is left')
  await expectPages(t, fleet.hosts, 'v7')
  await applyWeb(story, { volumes })
}

const deploySeveral = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const both = ['deploy', '--services', 'web,api', '--env', 'test']
  await story.apply('test', {
    api: serviceOf(fleet.registry.name, 'api', secondPort, { update: { parallelism: 2 } })
  })
  const first = await story.expect(t, 'succeeded', ...both, '--tag', 'v7')
  t.match(first.services, [
    { service: 'web', unchanged: true },
    { service: 'api', unchanged: false }
  ])
  await expectPages(t, fleet.hosts, 'v7', secondPort)

  await fleet.push('v8')
  await refuseOn(hostOf(fleet, 3), 'api', 'v8')
  const failed = await story.expect(t, 'reverted', ...both, '--tag', 'v8')
  const of = (service: string) => failed.targets.filter((target) => target.service === service)
  t.strictSame(statesOf({ targets: of('web') }), all('reverted'), 'web had switched everywhere')
  t.strictSame(statesOf({ targets: of('api') }), { host1: 'reverted', host2: 'reverted', host3: 'failed' })
  await expectPages(t, fleet.hosts, 'v7')
  await expectPages(t, fleet.hosts, 'v7', secondPort)
  for (const service of ['web', 'api']) t.match(await story.waitForNoDrift('test', service), { tag: 'v7' })
}

const goBackWithoutRegistry = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const { digest } = await story.expect(t, 'succeeded', ...deployWeb('v8'))
  await expectPages(t, fleet.hosts, 'v8')
  await fleet.registry.stop()
  const back = await story.expect(t, 'succeeded', 'rollback', ...web)
  await fleet.registry.start()
  t.match(back, { tag: 'v7' })
  t.not(back.digest, digest)
  await expectPages(t, fleet.hosts, 'v7')
}

const removeService = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await waitForCleanUp(fleet.hosts)
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
      api: serviceOf(fleet.registry.name, 'api', null, {
        update: atOnce,
        deploy: { replicas: 2, ...deploy }
      })
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
    async () => (await detailsOf(hostOf(fleet, 3), 'api')).length === 0
  )
  t.strictSame(await running(), [2, 2, 0])
  const status = await story.waitForNoDrift('test', 'api')
  t.strictSame(
    status.hosts.map(({ host }) => host),
    ['host1', 'host2']
  )
  await expectPages(t, fleet.hosts, 'v7')
}

const freeze = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  await waitForCleanUp(fleet.hosts)
  const before = await everythingOnAll(fleet.hosts)
  await story.done('lock', 'test', 'web', '--reason', 'the auditors are here')
  for (const command of [deployWeb('v8'), ['rollback', ...web], ['restart', ...web]]) {
    const told = await story.tell(...command)
    t.match(told, { exitCode: 4, document: { id: null, code: 'frozen', freeze: { holder: 'admin' } } })
    t.match(told.stderr, /the auditors are here/)
  }
  t.match(await story.status('test', 'web'), { freeze: { reason: 'the auditors are here' } })
  t.strictSame(await everythingOnAll(fleet.hosts), before)
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
  await expectPages(t, fleet.hosts, 'v7')
}

testOnRealParts(
  t,
  'three hosts do what service files and people say',
  async (t) => {
    const fleet = await startFaultFleet(t, 3)
    const story = new Story(t, fleet)
    await applyWeb(story)
    await fleet.push('v7')
    await story.expect(t, 'succeeded', ...deployWeb('v7'))
    await playScenes(t, story, {
      'a release command runs once': runOnce,
      'two services are one deployment': deploySeveral,
      'a rollback needs no registry': goBackWithoutRegistry,
      'a removed service is gone everywhere': removeService,
      'replicas run on each host, and leave it': replicate,
      'what a person locked stays as it is': freeze
    })
  },
  realPartsOptions
)
