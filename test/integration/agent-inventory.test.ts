// What the inventory says of containers that somebody changed by hand on a real engine, and that it asks the engine
// only about containers that something happened to.
import { join } from 'node:path'
import type { InventoryContainer } from '@longshore/protocol'
import t from 'tap'
import { createClock } from '../../packages/agent/src/adapters/clock.ts'
import { createDockerClient } from '../../packages/agent/src/adapters/docker/client.ts'
import { createEngine } from '../../packages/agent/src/adapters/docker/engine.ts'
import { createContainerWatch } from '../../packages/agent/src/adapters/docker/watch.ts'
import { openJournal } from '../../packages/agent/src/adapters/journal.ts'
import type { Engine } from '../../packages/agent/src/ports.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { sampleSpec } from '../support/run-samples.ts'
import { RunsScene } from '../support/runs-scene.ts'
import { waitUntil } from '../support/wait.ts'

const probe = { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 } as const
const spec = sampleSpec({
  update: { ...sampleSpec().update, monitorMs: 0 },
  probe,
  networks: [
    { name: 'front', aliases: [] },
    { name: 'back', aliases: [] }
  ]
})

testOnRealParts(t, 'the inventory of a host', async (t) => {
  const scene = await RunsScene.start(t)
  const v1 = await scene.push('v1', 'unchecked')
  await scene.deploy('web', spec, 1, v1)
  await scene.deploy('other', { ...spec, networks: [] }, 1, v1)
  const { client } = scene.host.engine
  const docker = createDockerClient(`unix://${scene.host.engine.socketPath}`)
  const inspected: string[] = []
  const real = createEngine(docker, { forRepository: async () => undefined })
  const engine: Engine = {
    ...real,
    inspectContainer: (id) => {
      inspected.push(id)
      return real.inspectContainer(id)
    }
  }
  const journal = openJournal(join(scene.folder, 'journal.sqlite'))
  t.teardown(() => journal.close())
  const { installation, environment } = scene.command('web', { kind: 'remove', release: null })
  let isBusy = false
  const watch = createContainerWatch(docker, engine, createClock(), {
    installation: () => installation,
    recordOf: ({ service, release }) =>
      isBusy ? 'busy' : journal.releases(environment, service).find((one) => one.release === release)
  })
  t.teardown(() => watch.stop())
  const opened = Promise.withResolvers<void>()
  watch.onReturn(opened.resolve)
  let changes = 0
  watch.onChange(() => {
    changes += 1
  })
  await opened.promise
  const seen = async (): Promise<InventoryContainer | undefined> =>
    (await watch.list()).find((one) => one.service === 'web')
  const changedTo = (what: string, expected: string[]) =>
    waitUntil(what, async () => JSON.stringify((await seen())?.changes) === JSON.stringify(expected))

  await t.test('a container as it was created has no changes, and is not looked at twice', async (t) => {
    const [first, second] = await watch.list()
    t.match([first?.changes, second?.changes], [[], []])
    t.match(first?.specHash, /^[0-9a-f]{64}$/)
    t.equal(inspected.length, 2)
    await watch.list()
    t.equal(inspected.length, 2, 'nothing happened')
    await watch.list('all')
    t.equal(inspected.length, 4, 'a session begins with a look at each')
  })

  await t.test(
    'what docker update, rename and network change is told, and only that container asked',
    async (t) => {
      const before = inspected.length
      const id = (await seen())?.id ?? ''
      await client.post('/containers/web-r1-0/update', { Memory: 64 * 1024 * 1024, MemorySwap: -1 })
      const memory = 'memory limit is 64 MiB, not unlimited'
      await changedTo('the limit to be told', [memory])
      await client.post('/containers/web-r1-0/update', { RestartPolicy: { Name: 'no' } })
      const policy = 'restart policy is no, not always'
      await changedTo('the policy to be told', [policy, memory])
      await client.post('/containers/web-r1-0/rename?name=mine')
      const name = 'name is mine, not web-r1-0'
      await changedTo('the name to be told', [policy, memory, name])
      await client.post('/networks/back/disconnect', { Container: 'mine' })
      await changedTo('the network to be told', [
        policy,
        memory,
        name,
        'is not connected to the network back'
      ])
      t.same(
        [...new Set(inspected.slice(before))].map((one) => one.slice(0, 12)),
        [id]
      )
      isBusy = true
      t.same((await seen())?.changes, [], 'during a run nothing is taken for a change by hand')
      isBusy = false
      const told = changes
      watch.touch()
      t.equal(changes, told + 1, 'its end is told like an event')
    }
  )

  await t.test('what happens to a stranger is nobody’s business', async (t) => {
    await client.post('/containers/create?name=stranger', { Image: `${v1.repository}@${v1.digest}` })
    await waitUntil('it to be known', async () => (await watch.list()).length === 2 && changes > 0)
    const before = inspected.length
    const told = changes
    await client.post('/containers/stranger/rename?name=strange')
    await client.post('/containers/mine/update', { CpuShares: 512 })
    await waitUntil(
      'the later event',
      async () => (await seen())?.changes.some((one) => one.startsWith('CPU')) === true
    )
    t.equal(inspected.length, before + 1)
    t.equal(changes, told + 1)
  })

  await t.test('commands, rehearsals, kept containers and crashed replicas have their roles', async (t) => {
    const two = { ...spec, networks: [], replicas: 2, restart: { name: 'no', maxRetries: 0 } as const }
    await scene.deploy('other', two, 2, v1)
    await client.post('/containers/other-r2-1/stop?t=1')
    const once = {
      kind: 'run-once',
      release: 2,
      image: v1,
      spec: two,
      command: ['/bin/sh', '-c', 'sleep 20']
    }
    const command = scene.command('other', once)
    scene.begin(command)
    await scene.reached(command, 'await-command')
    const roles = async () =>
      (await watch.list())
        .filter((one) => one.service === 'other')
        .map((one) => `${one.name} ${one.role} ${one.state}`)
        .toSorted()
    const expected = [
      'other-r1-0 kept exited',
      'other-r2-0 serving running',
      'other-r2-1 serving exited',
      'other-r2-once once running'
    ]
    await waitUntil(
      'all to be seen',
      async () => (await roles()).length === 4 && (await roles())[2]?.includes('exited') === true
    )
    t.same(await roles(), expected)
    scene.cancel(command)
    await scene.reportOf(command)
  })
})
