// What stands beside a serving container on a real engine: release commands that run once for ever, rehearsals that
// leave nothing, plans that touch nothing; and services of several containers, whatever step the agent dies in.
import type { ServiceSpec } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleSpec, stageBody } from '../support/run-samples.ts'
import { type Pushed, RunsScene, statusOf } from '../support/runs-scene.ts'
import { waitUntil } from '../support/wait.ts'

const update = { ...sampleSpec().update, monitorMs: 0 }
const probe = { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 } as const
const specWith = (change: Partial<ServiceSpec> = {}) => sampleSpec({ update, probe, ...change })
const data = { type: 'volume', source: 'ledger', target: '/data', isReadOnly: false } as const
const withData = specWith({ volumes: [data], labels: { 'proxy.enable': 'yes' }, stopGracePeriodMs: 1000 })
const shell = (script: string): string[] => ['/bin/sh', '-c', script]
const onceBody = (image: Pushed, script: string, spec = withData) => ({
  kind: 'run-once',
  release: 2,
  image,
  spec,
  command: shell(script)
})

/** One engine for all: each part leaves no container of its own. */
type Parts = { scene: RunsScene; v1: Pushed }

const releaseCommands = async (t: Test, { scene, v1 }: Parts): Promise<void> => {
  await scene.deploy('web', withData, 1, v1)
  await scene.run(scene.command('web', stageBody(2, withData, v1)))
  const names = async () => (await scene.containers('web')).map((one) => one.Names[0]).toSorted()
  const ledger = async (): Promise<string[]> => {
    const { outcome } = await scene.run(scene.command('web', onceBody(v1, 'cat /data/ledger')))
    return outcome.status === 'succeeded' && outcome.result.kind === 'run-once' ? outcome.result.log : []
  }

  await t.test('its output is told while it runs, and kept', async (t) => {
    const command = scene.command('web', onceBody(v1, 'echo one; echo two >&2; sleep 0.4; echo three'))
    const report = await scene.run(command)
    t.match(report.outcome, { status: 'succeeded', result: { exitCode: 0 }, serving: 'old', release: 1 })
    const result = report.outcome.status === 'succeeded' ? report.outcome.result : undefined
    t.same(result?.kind === 'run-once' && [...result.log].toSorted(), ['one', 'three', 'two'])
    const told = scene.progress.flatMap((one) => (one.command === command.id ? (one.lines ?? []) : []))
    t.same(told.toSorted(), ['one', 'three', 'two'])
    t.same(await names(), ['/web-r1-0'], 'it is gone, and what serves is not')
  })

  await t.test('its failure is its exit code', async (t) => {
    const report = await scene.run(scene.command('web', onceBody(v1, 'echo no such table; exit 4')))
    const error = { code: 'command-failed', detail: /exit code 4/, exitCode: 4, log: ['no such table'] }
    t.match(report.outcome, { status: 'failed', error, serving: 'old', release: 1 })
    const missing = { ...onceBody(v1, ''), command: ['/bin/nowhere'] }
    const refused = await scene.run(scene.command('web', missing))
    t.match(refused.outcome, { status: 'failed', error: { code: 'spec-rejected', step: 'start-command' } })
    t.same(await names(), ['/web-r1-0'])
  })

  await t.test('it runs exactly once wherever the agent dies', async (t) => {
    for (const [at, death] of deaths.entries()) {
      const script = `echo ${at} >> /data/ledger; sleep 0.2; echo ended`
      const command = scene.command('web', onceBody(v1, script))
      await scene.runUntilDeath(command, death)
      const report = await scene.reportOf(command)
      t.equal(statusOf(report), 'succeeded old 1', JSON.stringify([death, report.outcome]))
      t.match(report.outcome, { result: { log: ['ended'] } })
    }
    t.same(await ledger(), [...deaths.keys()].map(String))
    t.same(await names(), ['/web-r1-0'])
  })

  await t.test('a cancel and the time limit stop it, and say what it wrote', async (t) => {
    const script = 'trap "exit 0" TERM; echo begun; sleep 30 & wait'
    const cancelled = scene.command('web', onceBody(v1, script))
    scene.begin(cancelled)
    const isTold = () =>
      scene.progress.some((one) => one.command === cancelled.id && one.lines?.[0] === 'begun')
    await waitUntil('the command to have begun', isTold)
    scene.cancel(cancelled)
    const first = await scene.reportOf(cancelled)
    t.match(first.outcome, { status: 'failed', error: { code: 'cancelled', log: ['begun'] }, serving: 'old' })
    const late = { ...scene.command('web', onceBody(v1, script)), timeLimitMs: 700 }
    const second = await scene.run(late)
    t.match(second.outcome, { status: 'failed', error: { code: 'time-limit' }, serving: 'old', release: 1 })
    t.same(await names(), ['/web-r1-0'])
  })

  await t.test('one whose container was taken away is unknown', async (t) => {
    const command = scene.command('web', onceBody(v1, 'sleep 30'))
    scene.begin(command)
    await scene.reached(command, 'await-command')
    // a living agent might see how it ended before it is gone
    await scene.kill()
    await scene.host.engine.client.delete('/containers/web-r2-once?force=true')
    const report = await scene.reportOf(command)
    t.match(report.outcome, { status: 'unknown', serving: 'old', release: 1 })
  })

  await t.test('its container publishes nothing and brings nobody to it', async (t) => {
    const command = scene.command('web', onceBody(v1, 'sleep 30', { ...withData, ports: [fixed(8090)] }))
    scene.begin(command)
    await scene.reached(command, 'await-command')
    const once = await scene.host.engine.client.get<Inspected>('/containers/web-r2-once/json')
    t.match(once.HostConfig, { AutoRemove: false, RestartPolicy: { Name: 'no' }, PortBindings: {} })
    t.match(once.Config.Labels, { 'longshore.purpose': 'once', 'longshore.service': 'web' })
    t.notOk('proxy.enable' in once.Config.Labels)
    await scene.kill()
    const removed = scene.command('web', { kind: 'remove', release: null })
    scene.cancel(command)
    t.match((await scene.reportOf(command)).outcome, { error: { code: 'cancelled' } })
    t.equal(statusOf(await scene.run(removed)), 'succeeded none null')
  })
}

type Inspected = {
  HostConfig: {
    AutoRemove: boolean
    RestartPolicy: { Name: string }
    PortBindings: Record<string, { HostPort: string }[]>
  }
  Config: { Labels: Record<string, string> }
}
const fixed = (published: number) => ({ target: 8888, published, hostIp: null, protocol: 'tcp' as const })

/** 2 is start-command, 3 await-command, 4 remove-container; rehearsals die at their create-container. */
const deaths = [
  { atStep: 2, afterMs: 0 },
  { atStep: 2, afterMs: 15 },
  { atStep: 3, afterMs: 60 },
  { atStep: 4, afterMs: 0 }
]

const rehearsalsAndPlans = async (t: Test, { scene, v1 }: Parts): Promise<void> => {
  const broken = await scene.push('v2', 'exits')
  const spec = specWith({ ports: [fixed(8091)], networks: [{ name: 'front', aliases: ['web'] }] })
  await scene.deploy('web', spec, 1, v1)
  const rehearseBody = (image: Pushed, more: object = {}) => ({
    kind: 'rehearse',
    release: 2,
    image,
    spec: { ...spec, environment: { NEW: 'yes' } },
    replace: null,
    ...more
  })
  const { client } = scene.host.engine
  const serving = async () => {
    const { Id, State } = await client.get<{ Id: string; State: { StartedAt: string } }>(
      '/containers/web-r1-0/json'
    )
    return `${Id} ${State.StartedAt}`
  }
  const before = await serving()

  await t.test('a rehearsal becomes healthy beside what serves and is gone', async (t) => {
    const report = await scene.run(scene.command('web', rehearseBody(v1)))
    t.match(report.outcome, { status: 'succeeded', result: { kind: 'rehearse' }, serving: 'old', release: 1 })
    t.equal((await scene.containers('web')).length, 1)
    t.equal(await serving(), before)
  })

  await t.test('it fails as the release would', async (t) => {
    await scene.run(scene.command('web', stageBody(2, spec, broken)))
    const report = await scene.run(scene.command('web', rehearseBody(broken)))
    t.match(report.outcome, {
      status: 'failed',
      error: { code: 'container-exited', log: [/no database/] },
      serving: 'old',
      release: 1
    })
    t.equal((await scene.containers('web')).length, 1)
  })

  await t.test('nothing stays wherever the agent dies', async (t) => {
    // create-network, create-container, start-container, await-healthy, remove-container
    for (const atStep of [2, 5]) {
      const command = scene.command('web', rehearseBody(v1))
      await scene.runUntilDeath(command, { atStep, afterMs: atStep * 5 })
      t.equal(statusOf(await scene.reportOf(command)), 'succeeded old 1', `killed at step ${atStep}`)
      t.equal((await scene.containers('web')).length, 1)
    }
    t.equal(await serving(), before)
  })

  await t.test('it takes a free port and no alias', async (t) => {
    const command = scene.command(
      'web',
      rehearseBody(v1, { spec: { ...spec, probe: { ...probe, port: 9999 } } })
    )
    scene.begin(command)
    await scene.reached(command, 'await-healthy')
    const seen = await client.get<Rehearsed>('/containers/web-r2-rehearsal-0/json')
    t.not(seen.NetworkSettings.Ports['8888/tcp']?.[0]?.HostPort, '8091')
    t.notOk(seen.NetworkSettings.Networks['front']?.Aliases?.includes('web'))
    scene.cancel(command)
    t.match((await scene.reportOf(command)).outcome, { error: { code: 'cancelled' }, serving: 'old' })
    t.equal(await serving(), before)
  })

  await t.test('a plan says what would be done and refused, and does nothing', async (t) => {
    const body = { ...rehearseBody(v1), kind: 'plan', recreate: false }
    const good = await scene.run(scene.command('web', body))
    const serves = { release: 1, image: `${v1.repository}@${v1.digest}` }
    t.match(good.outcome, { status: 'succeeded', result: { isRunning: false, serves, refusals: [] } })
    t.match(JSON.stringify(good.outcome), /stop web-r1-0 and keep it.*start web-r2-0/)
    const busy = await scene.run(scene.command('other', body))
    t.match(busy.outcome, {
      result: { serves: null, refusals: [{ code: 'port-taken', detail: /web-r1-0/ }] }
    })
    const same = await scene.run(scene.command('web', { ...body, spec }))
    t.match(same.outcome, { result: { isRunning: true } })
    const newer = { ...spec, annotations: { a: 'b' } }
    const unsupported = await scene.run(scene.command('web', { ...body, spec: newer }))
    t.match(unsupported.outcome, {
      result: { steps: [], refusals: [{ code: 'unsupported', detail: /1\.43/ }] }
    })
    t.equal(await serving(), before)
    t.equal((await scene.containers()).length, 1)
  })

  await t.test('a plan does not wait for the release under way, nor make it stale', async (t) => {
    const slow = { ...spec, environment: { NEW: 'yes' }, update: { ...update, monitorMs: 60_000 } }
    const release = scene.command('web', releaseBody(3, slow, v1))
    scene.begin(release)
    await scene.reached(release, 'monitor')
    const older = scene.command('web', { ...rehearseBody(v1), kind: 'plan', recreate: false })
    const plan = { ...older, fence: { generation: 0, epoch: 0, index: 0 } }
    t.match((await scene.run(plan)).outcome, { result: { kind: 'plan', serves: { release: 3 } } })
    scene.cancel(release)
    t.equal(statusOf(await scene.reportOf(release)), 'failed old 1')
  })

  await t.test('a remove with names removes those and no stranger', async (t) => {
    await client.post('/containers/create?name=stranger', { Image: `${v1.repository}@${v1.digest}` })
    const ids = (await scene.containers()).map((one) => one.Id)
    const named = { kind: 'remove', release: null, containers: ids.map((id) => id.slice(0, 12)) }
    t.equal(statusOf(await scene.run(scene.command('web', named))), 'succeeded none null')
    t.same(
      (await scene.containers()).map((one) => one.Names[0]),
      ['/stranger']
    )
  })
}

type Rehearsed = {
  NetworkSettings: {
    Ports: Record<string, { HostPort: string }[] | null>
    Networks: Record<string, { Aliases: string[] | null }>
  }
}

const severalContainers = async (t: Test, { scene, v1 }: Parts): Promise<void> => {
  const v2 = await scene.push('v2', 'unchecked')
  const of = (replicas: number) => specWith({ replicas, ports: [{ ...fixed(1), published: null }] })
  const running = async (): Promise<string[]> =>
    (await scene.containers('many'))
      .flatMap((one) => (one.State === 'running' ? (one.Names[0] ?? '') : []))
      .toSorted()

  await t.test('one release scales down, the next one up, and back', async (t) => {
    t.equal(statusOf(await scene.deploy('many', of(2), 1, v1)), 'succeeded new 1')
    t.same(await running(), ['/many-r1-0', '/many-r1-1'])
    t.equal(statusOf(await scene.deploy('many', of(1), 2, v1)), 'succeeded new 2')
    t.same(await running(), ['/many-r2-0'])
    await scene.run(scene.command('many', { kind: 'settle', release: 2, keepImages: 3 }))
    t.equal((await scene.containers('many')).length, 1)
    t.equal(statusOf(await scene.deploy('many', of(3), 3, v2)), 'succeeded new 3')
    t.same(await running(), ['/many-r3-0', '/many-r3-1', '/many-r3-2'])
    const reverted = await scene.run(scene.command('many', { kind: 'revert', from: 3, to: 2 }))
    t.equal(statusOf(reverted), 'succeeded old 2')
    t.same(await running(), ['/many-r2-0'])
    await scene.deploy('many', of(2), 4, v2)
    const { client } = scene.host.engine
    await client.post('/containers/many-r4-1/stop?t=1')
    await scene.run(scene.command('many', { kind: 'settle', release: 4, keepImages: 3 }))
    t.equal((await scene.containers('many')).length, 2, 'a replica that is down is no kept one')
    await scene.removeAll('many')
  })

  await t.test('a run of several containers killed at any step ends the same', async (t) => {
    await scene.deploy('many', of(2), 1, v1)
    // check-ports, create x2, retire x2, start x2, await, monitor
    for (const [at, atStep] of [3, 5, 7].entries()) {
      const release = at + 2
      const image = release % 2 === 0 ? v2 : v1
      await scene.run(scene.command('many', stageBody(release, of(2), image)))
      const command = scene.command('many', releaseBody(release, of(2), image))
      await scene.runUntilDeath(command, { atStep, afterMs: atStep * 7 })
      t.equal(statusOf(await scene.reportOf(command)), `succeeded new ${release}`)
      t.same(await scene.running('many'), [String(release), String(release)], `killed at step ${atStep}`)
      await scene.run(scene.command('many', { kind: 'settle', release, keepImages: 1 }))
      t.equal((await scene.containers('many')).length, 2)
    }
    await scene.removeAll('many')
  })

  await t.test('a kept container gets its policy back although the journal was lost', async (t) => {
    await scene.deploy('lost', of(1), 1, v1)
    await scene.deploy('lost', of(1), 2, v2)
    const fresh = scene.beside(t, {})
    const reverted = await fresh.run(fresh.command('lost', { kind: 'revert', from: 2, to: 1 }))
    t.equal(statusOf(reverted), 'succeeded old 1', JSON.stringify(reverted))
    const back = await scene.host.engine.client.get<Inspected>('/containers/lost-r1-0/json')
    t.equal(back.HostConfig.RestartPolicy.Name, 'always')
  })
}

testOnRealParts(t, 'what stands beside a serving container', async (t) => {
  const scene = await RunsScene.start(t)
  const parts = { scene, v1: await scene.push('v1', 'unchecked') }
  await t.test('release commands', (t) => releaseCommands(t, parts))
  await t.test('rehearsals and plans', (t) => rehearsalsAndPlans(t, parts))
  await t.test('services of several containers', (t) => severalContainers(t, parts))
})
