// What the agent's runs do on a real engine with a real registry: the switch, its undo, and every way in which
// the agent, the engine or a stranger gets between two steps.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, type RunReport, runReport } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { type Host, startTestHost } from '../support/engine.ts'
import { makeWebImage, type WebBehaviour } from '../support/images.ts'
import { makeTestFolder } from '../support/real-parts.ts'
import { type Registry, startTestRegistry } from '../support/registry.ts'
import { releaseBody, sampleCommand, sampleSpec, stageBody } from '../support/run-samples.ts'

// Four engines one after the other, each with half a dozen runs.
t.setTimeout(300_000)

type Listed = { Id: string; Names: string[]; State: string; Labels: Record<string, string> }

/** One host with a registry, and the runs' process beside it. */
class Scene {
  readonly host: Host
  readonly registry: Registry
  readonly folder: string
  #commands = 0

  constructor(host: Host, registry: Registry, folder: string) {
    this.host = host
    this.registry = registry
    this.folder = folder
  }

  static async start(test: Test): Promise<Scene> {
    const host = await startTestHost(test)
    const registry = await startTestRegistry(test, host.network.address)
    return new Scene(host, registry, makeTestFolder(test))
  }

  async push(tag: string, behaviour: WebBehaviour = 'healthy') {
    const digest = await this.registry.push('web', tag, makeWebImage(tag, behaviour))
    return { repository: `${this.registry.name}/web`, tag, digest }
  }

  next(body: unknown): Command {
    this.#commands += 1
    return sampleCommand(this.#commands, body)
  }

  /** @returns the report; undefined when the process killed itself */
  run(command: Command | undefined, killAt = '', killAfterMs = 0): Promise<RunReport | undefined> {
    const file = join(this.folder, 'command.json')
    if (command !== undefined) writeFileSync(file, JSON.stringify(command))
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${this.host.namespace}`,
        process.execPath,
        join(import.meta.dirname, '../support/runs-process.ts'),
        join(this.folder, 'journal.db'),
        this.host.engine.socketPath,
        command === undefined ? '' : file,
        killAt
      ],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, KILL_AFTER_MS: String(killAfterMs) } }
    )
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += String(chunk)
    })
    return new Promise((resolve, reject) => {
      child.once('close', (code, signal) => {
        if (signal === 'SIGKILL') resolve(undefined)
        else if (code !== 0) reject(new Error(`the runs' process ended with ${code}`))
        else resolve(runReport.parse(JSON.parse(output.trim().split('\n').at(-1) ?? '')))
      })
    })
  }

  /** Stages and releases. */
  async deploy(release: number, image: Awaited<ReturnType<Scene['push']>>) {
    const staged = await this.run(this.next(stageBody(release, spec, image)))
    const released = await this.run(this.next(releaseBody(release, spec, image)))
    return { staged, released }
  }

  containers(): Promise<Listed[]> {
    return this.host.engine.client.get<Listed[]>('/containers/json?all=true')
  }

  async running(): Promise<string[]> {
    return (await this.containers())
      .filter((one) => one.State === 'running')
      .map((one) => one.Labels['longshore.release'] ?? one.Names[0] ?? '')
  }
}

const spec = sampleSpec({ ports: [{ target: 8888, published: 8080, hostIp: null, protocol: 'tcp' }] })
const statusOf = (report: RunReport | undefined) =>
  report === undefined
    ? 'killed'
    : `${report.outcome.status} ${report.outcome.serving} ${report.outcome.release}`

t.test('a release replaces the one before, and a broken one is undone', { timeout: 120_000 }, async (t) => {
  const scene = await Scene.start(t)
  const v1 = await scene.push('v1')
  const v2 = await scene.push('v2')
  const broken = await scene.push('v3', 'exits')
  const first = await scene.deploy(1, v1)
  t.match(first.staged?.outcome, { status: 'succeeded', result: { kind: 'stage', isRunning: false } })
  t.equal(statusOf(first.released), 'succeeded new 1', JSON.stringify(first.released))
  const second = await scene.deploy(2, v2)
  t.equal(statusOf(second.released), 'succeeded new 2', JSON.stringify(second.released))
  t.same(await scene.running(), ['2'])

  const third = await scene.deploy(3, broken)
  t.equal(statusOf(third.released), 'failed old 2', JSON.stringify(third.released))
  t.match(third.released?.outcome, {
    error: { code: /^container-(exited|restarted)$/, step: 'await-healthy' }
  })
  t.match(JSON.stringify(third.released), 'the configuration has no database', 'the log is in the report')
  t.same(await scene.running(), ['2'])

  const again = await scene.run(scene.next(releaseBody(4, spec, v2)))
  t.match(
    again?.outcome,
    { status: 'succeeded', result: { kind: 'release', containers: [] } },
    'nothing is touched'
  )
  t.same(await scene.running(), ['2'])

  await scene.host.engine.client.post('/containers/prune')
  const reverted = await scene.run(scene.next({ kind: 'revert', from: 2, to: 1 }))
  t.equal(statusOf(reverted), 'succeeded old 1', JSON.stringify(reverted))
  t.same(await scene.running(), ['1'], 'made again from the journal')
  const settled = await scene.run(scene.next({ kind: 'settle', release: 1, keepImages: 0 }))
  t.match(settled?.outcome, { status: 'succeeded', result: { warnings: [] } }, JSON.stringify(settled))
  const removed = await scene.run(scene.next({ kind: 'remove', release: null }))
  t.equal(statusOf(removed), 'succeeded none null')
  t.same(await scene.containers(), [])

  const gone = await scene.run(
    scene.next({ kind: 'resolve', image: { repository: v1.repository, tag: 'nowhere', digest: null } })
  )
  t.match(gone?.outcome, { status: 'failed', error: { code: 'image-not-found', detail: /web:nowhere/ } })
  const found = await scene.run(
    scene.next({ kind: 'resolve', image: { repository: v1.repository, tag: 'v1', digest: null } })
  )
  t.match(found?.outcome, { status: 'succeeded', result: { digest: v1.digest } }, JSON.stringify(found))
})

t.test('a stranger on the port is named while staging', { timeout: 60_000 }, async (t) => {
  const scene = await Scene.start(t)
  const v1 = await scene.push('v1')
  await scene.deploy(1, v1)
  const other = sampleCommand(50, stageBody(1, spec, v1))
  const report = await scene.run({ ...other, service: 'other' as Command['service'] })
  t.match(report?.outcome, { status: 'failed', error: { code: 'port-taken', detail: /web-r1-0/ } })
})

t.test('a run killed at any step ends the same after the next start', { timeout: 240_000 }, async (t) => {
  const scene = await Scene.start(t)
  const odd = await scene.push('v1')
  const even = await scene.push('v2')
  let release = 1
  await scene.deploy(release, odd)
  for (let position = 1; position <= 6; position += 1) {
    release += 1
    const image = release % 2 === 0 ? even : odd
    await scene.run(scene.next(stageBody(release, spec, image)))
    const killed = await scene.run(
      scene.next(releaseBody(release, spec, image)),
      String(position),
      position * 7
    )
    t.equal(killed, undefined, `killed at step ${position}`)
    const report = await scene.run(undefined)
    t.equal(statusOf(report), `succeeded new ${release}`, JSON.stringify(report))
    t.same(await scene.running(), [String(release)])
    await scene.run(scene.next({ kind: 'settle', release, keepImages: 1 }))
    t.equal((await scene.containers()).length, 1, 'no container is left over')
  }
})

t.test(
  'an engine restarted between steps keeps the old one down and the new one up',
  { timeout: 120_000 },
  async (t) => {
    const scene = await Scene.start(t)
    const v1 = await scene.push('v1')
    const v2 = await scene.push('v2')
    await scene.deploy(1, v1)
    await scene.run(scene.next(stageBody(2, spec, v2)))
    const command = scene.next(releaseBody(2, spec, v2))
    await scene.run(command, '4', 20)
    await scene.host.engine.shutDown()
    await scene.host.engine.start()
    t.notOk((await scene.running()).includes('1'), 'the kept container stays down by itself')
    const underWay = scene.run(undefined)
    await scene.host.engine.shutDown()
    await scene.host.engine.start()
    t.equal(statusOf(await underWay), 'succeeded new 2')
    t.same(await scene.running(), ['2'])
  }
)

t.test(
  'a fixed name moves with the switch, and a replaced stranger serves again',
  { timeout: 90_000 },
  async (t) => {
    const scene = await Scene.start(t)
    const v1 = await scene.push('v1')
    const broken = await scene.push('v2', 'exits')
    const { client } = scene.host.engine
    await scene.run(scene.next(stageBody(1, spec, v1)))
    const stranger = {
      Image: `${v1.repository}@${v1.digest}`,
      HostConfig: { RestartPolicy: { Name: 'always' } }
    }
    await client.post('/containers/create?name=web', stranger)
    await client.post('/containers/web/start')
    const named = sampleSpec({ containerName: 'web' })
    const refused = await scene.run(scene.next(releaseBody(2, named, v1)))
    t.match(refused?.outcome, { status: 'failed', error: { code: 'name-taken' } })
    await scene.run(scene.next({ ...stageBody(3, named, broken), replace: 'web' }))
    const failed = await scene.run(scene.next(releaseBody(3, named, broken, { replace: 'web' })))
    t.equal(statusOf(failed), 'failed old null', JSON.stringify(failed))
    t.same(await scene.running(), ['/web'])
    const taken = await scene.run(scene.next(releaseBody(4, named, v1, { replace: 'web' })))
    t.equal(statusOf(taken), 'succeeded new 4', JSON.stringify(taken))
    t.match(await scene.containers(), [{ Names: ['/web'] }, { Names: ['/web-r4-replaced'], State: 'exited' }])
    const removed = await scene.run(scene.next({ kind: 'remove', release: 4 }))
    t.equal(statusOf(removed), 'succeeded old null', JSON.stringify(removed))
    t.same(await scene.running(), ['/web'])
  }
)
