// One real host with a real registry and the agent's loop of runs in a process beside it: gives it commands, waits
// for their reports, kills it, and looks at the engine from outside.
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Command, ProgressMessage, RefusedMessage, RunReport, ServiceName } from '@longshore/protocol'
import type { Test } from 'tap'
import { type Registry, startRegistry } from '../../scripts/hosts/registry.ts'
import { type Host, startTestHost } from './engine.ts'
import { type Image, makeWebImage, type WebBehaviour } from './images.ts'
import { makeTestFolder } from './real-parts.ts'
import { releaseBody, sampleCommand, stageBody } from './run-samples.ts'
import type { Asked, Told } from './runs-process.ts'

export type Listed = { Id: string; Names: string[]; State: string; Labels: Record<string, string> }
export type Pushed = { repository: string; tag: string; digest: string }
type Options = { minFreeBytes?: number; env?: Record<string, string> }
type Death = { atStep: number; afterMs?: number }

export class RunsScene {
  readonly host: Host
  readonly registry: Registry
  /** Where the registry keeps its blobs, for another one over the same content. */
  readonly registryContent: string
  /** Journal, and Docker's config.json. */
  readonly folder: string
  /** Everything told so far, by all processes. */
  readonly progress: ProgressMessage[] = []
  readonly #options: Options
  readonly #reports = new Map<string, RunReport>()
  readonly #refusals = new Map<string, RefusedMessage>()
  readonly #told = new EventEmitter()
  #child: ChildProcess | undefined
  #commands = 0

  constructor(host: Host, registry: Registry, registryContent: string, folder: string, options: Options) {
    this.host = host
    this.registry = registry
    this.registryContent = registryContent
    this.folder = folder
    this.#options = options
    this.#told.setMaxListeners(0)
  }

  static async start(test: Test): Promise<RunsScene> {
    const host = await startTestHost(test)
    const folder = makeTestFolder(test)
    const registry = await startRegistry(folder, host.network.address)
    test.teardown(() => registry.stop())
    const scene = new RunsScene(host, registry, join(folder, 'content'), makeTestFolder(test), {})
    test.teardown(() => scene.kill())
    return scene
  }

  /** Another agent on the same host, with a journal of its own. */
  beside(test: Test, options: Options): RunsScene {
    const scene = new RunsScene(this.host, this.registry, this.registryContent, makeTestFolder(test), options)
    // ids of commands are labels of containers, so that both must not count from one
    scene.#commands = this.#commands + 10_000
    test.teardown(() => scene.kill())
    return scene
  }

  async push(tag: string, image: WebBehaviour | Image = 'healthy'): Promise<Pushed> {
    const made = typeof image === 'string' ? makeWebImage(tag, image) : image
    const digest = await this.registry.push('web', tag, made)
    return { repository: `${this.registry.name}/web`, tag, digest }
  }

  command(service: string, body: unknown): Command {
    this.#commands += 1
    return { ...sampleCommand(this.#commands, body), service: service as ServiceName }
  }

  /** @returns the report, or the refusal */
  async run(command: Command): Promise<RunReport> {
    this.#ask({ kind: 'take', command, dieAtStep: null, dieAfterMs: 0 })
    return this.reportOf(command)
  }

  /** Runs until it kills itself so long after the step began. */
  async runUntilDeath(command: Command, death: Death): Promise<void> {
    this.#ask({ kind: 'take', command, dieAtStep: death.atStep, dieAfterMs: death.afterMs ?? 0 })
    const child = this.#child
    if (child !== undefined && child.exitCode === null) await once(child, 'close')
  }

  begin(command: Command): void {
    this.#ask({ kind: 'take', command, dieAtStep: null, dieAfterMs: 0 })
  }

  cancel(command: Command): void {
    this.#ask({ kind: 'cancel', command: command.id })
  }

  /** Starts the process when it is dead; resolves with the report of the command. */
  async reportOf(command: Command): Promise<RunReport> {
    this.#process()
    for (;;) {
      const refusal = this.#refusals.get(command.id)
      if (refusal !== undefined) throw new Error(`refused: ${refusal.code} ${refusal.detail}`)
      const report = this.#reports.get(command.id)
      if (report !== undefined) return report
      await once(this.#told, 'told')
    }
  }

  /** Resolves once the run is in this step. */
  async reached(command: Command, step: string): Promise<void> {
    while (!this.progress.some((one) => one.command === command.id && one.step === step))
      await once(this.#told, 'told')
  }

  async deploy(service: string, spec: Parameters<typeof releaseBody>[1], release: number, image: Pushed) {
    await this.run(this.command(service, stageBody(release, spec, image)))
    return this.run(this.command(service, releaseBody(release, spec, image)))
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'close')
  }

  /** Of one service, newest first; of everybody without a name. */
  async containers(service?: string): Promise<Listed[]> {
    const all = await this.host.engine.client.get<Listed[]>('/containers/json?all=true')
    return service === undefined ? all : all.filter((one) => one.Labels['longshore.service'] === service)
  }

  /** Releases of the containers that run. */
  async running(service: string): Promise<string[]> {
    return (await this.containers(service))
      .filter((one) => one.State === 'running')
      .map((one) => one.Labels['longshore.release'] ?? '')
  }

  async removeAll(service: string): Promise<void> {
    await this.run(this.command(service, { kind: 'remove', release: null }))
  }

  #ask(asked: Asked): void {
    this.#process().stdin?.write(`${JSON.stringify(asked)}\n`)
  }

  #process(): ChildProcess {
    const running = this.#child
    if (running !== undefined && running.exitCode === null && running.signalCode === null) return running
    const [file, ...enter] = this.host.enter
    if (file === undefined) throw new RangeError('a host without a way in')
    const program = join(import.meta.dirname, 'runs-process.ts')
    const own = [join(this.folder, 'journal.sqlite'), this.host.engine.socketPath]
    const child = spawn(
      file,
      [...enter, process.execPath, program, ...own, String(this.#options.minFreeBytes ?? 0)],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, DOCKER_CONFIG: this.folder, ...this.#options.env }
      }
    )
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(JSON.parse(line) as Told))
    this.#child = child
    return child
  }

  #take(told: Told): void {
    if (told.type === 'report') this.#reports.set(told.report.command, told.report)
    else if (told.type === 'refused') this.#refusals.set(told.command, told)
    else this.progress.push(told)
    this.#told.emit('told')
  }
}

/** `succeeded new 2`: how it ended, what serves. */
export const statusOf = ({ outcome }: RunReport): string =>
  `${outcome.status} ${outcome.serving} ${outcome.release}`
