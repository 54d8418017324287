// A fleet on which several services are told to do things: a version can be made unhealthy on one host alone, and
// pipelines run the command as Jenkins does. What the hosts then answer and run: e2e-fleet-story-looks.ts.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { DeploymentView, StatusView } from '../../packages/controller/src/api/schemas.ts'
import { type FaultFleet, type Waiting, waitForSessions, waitingFor } from './e2e-fault-fleet.ts'
import { webPort } from './images.ts'
import { type RunningProcess, startProcess } from './processes.ts'
import { makeTestFolder } from './real-parts.ts'
import { waitUntil } from './wait.ts'

/** The document of commands that wait for a deployment, as far as it is compared here. */
export type Document = Omit<DeploymentView, 'id' | 'outcome'> & {
  id: string
  outcome: string
  code?: string
}
export type Told = { exitCode: number | null; document: Document; stderr: string }

/**
 * A service whose versions are healthy unless the file `/data/refuses-VERSION` exists: the volume is the host's own.
 * @param port that every host publishes; null: none
 */
export const serviceOf = (
  registry: string,
  name: string,
  port: number | null,
  { update = {}, deploy = {}, ...more }: { update?: object; deploy?: object; [key: string]: unknown } = {}
): object => ({
  image: `${registry}/web`,
  ...(port === null ? {} : { ports: [`${port}:${webPort}`] }),
  restart: 'always',
  volumes: [`${name}-data:/data`],
  healthcheck: {
    test: [
      'CMD-SHELL',
      `/bin/busybox wget -q -O /tmp/page http://127.0.0.1:${webPort}/ && [ ! -e /data/refuses-$$(/bin/busybox cat /tmp/page) ]`
    ],
    // Each check costs the machine a process, on every host.
    interval: '500ms',
    timeout: '5s',
    retries: 3
  },
  deploy: { update_config: { monitor: '100ms', ...update }, ...deploy },
  ...more
})

/** The service that most scenes are about. */
export const web = ['web', '--env', 'test']
export const deployWeb = (tag: string, ...more: string[]): string[] => [
  'deploy',
  ...web,
  '--tag',
  tag,
  ...more
]

export class Story {
  readonly fleet: FaultFleet
  readonly #folder: string
  #files = 0

  constructor(t: Test, fleet: FaultFleet) {
    this.fleet = fleet
    this.#folder = makeTestFolder(t)
  }

  /** A folder that is there as long as the fleet. */
  makeFolder(name: string): string {
    const folder = join(this.#folder, name)
    mkdirSync(folder)
    return folder
  }

  /** Services as `serviceOf` makes them. */
  async apply(environment: string, services: Record<string, object>): Promise<void> {
    this.#files += 1
    const file = join(this.#folder, `${this.#files}.yaml`)
    const volumes = Object.fromEntries(Object.keys(services).map((name) => [`${name}-data`, {}]))
    writeFileSync(file, JSON.stringify({ services, volumes }))
    await this.done('apply', '-f', file, '--env', environment)
  }

  /** Runs a command that has to end with 0; returns what it printed. */
  async done(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.fleet.controller.cli(...args)
    if (exitCode !== 0) throw new Error(`longshore ${args.join(' ')} ended with ${exitCode}: ${stderr}`)
    return stdout.trim()
  }

  /** Runs a command that waits for a deployment. */
  tell(...args: string[]): Promise<Told> {
    return this.fleet.controller.cliJson<Document>(...args)
  }

  /** As `tell`, and the outcome has to be this one, with its exit code. */
  async expect(t: Test, outcome: string, ...args: string[]): Promise<Document> {
    const told = await this.tell(...args)
    const words = JSON.stringify(told.document, null, 1) + told.stderr
    t.equal(told.document.outcome, outcome, `${args.join(' ')}: ${outcome}`, { told: words })
    t.equal(told.exitCode, exitCodes[outcome], `${args.join(' ')}: the exit code of ${outcome}`)
    return told.document
  }

  /** Asks the API itself, which costs no start of a command. */
  async ask<T>(path: string): Promise<T> {
    const { url, token } = this.fleet.controller
    const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }

  async status(environment: string, service: string): Promise<StatusView> {
    const all = await this.ask<StatusView[]>(`/v1/status?environment=${environment}`)
    const one = all.find((status) => status.service === service)
    if (one === undefined) throw new Error(`${service} is not in the status of ${environment}`)
    return one
  }

  deployments(): Promise<DeploymentView[]> {
    return this.ask('/v1/deployments?limit=100')
  }

  async isPhase(id: string, phase: string): Promise<boolean> {
    return (await this.ask<DeploymentView>(`/v1/deployments/${id}`)).phase === phase
  }

  /** Until every host runs what was decided, and nobody holds the service. */
  async waitForNoDrift(environment: string, service: string, deadlineMs = 60_000): Promise<StatusView> {
    return waitUntil(
      `no drift of ${service}`,
      async () => {
        const status = await this.status(environment, service)
        const isGood = status.hosts.every(({ state, drift }) => state === 'running' && drift === undefined)
        return isGood && status.lock === null && status.hosts.length > 0 && status
      },
      { deadlineMs, intervalMs: 100 }
    )
  }

  waitForSessions(): Promise<void> {
    return waitForSessions(this.fleet)
  }

  /**
   * A job that runs the command as its child and prints the exit code: killed, it takes nobody with it.
   * @param buildTag what Jenkins calls the build
   */
  async startPipeline(buildTag: string, ...args: string[]): Promise<Pipeline> {
    const { url, token } = this.fleet.controller
    const script = '"$@" & echo "cli=$!"; wait $!; echo "exit=$?"'
    const command = [process.execPath, this.fleet.program, ...args, '--output', 'ndjson']
    const shell = await startProcess({
      name: `pipeline ${buildTag}`,
      file: 'bash',
      args: ['-c', script, 'pipeline', ...command],
      env: {
        PATH: process.env['PATH'],
        LONGSHORE_URL: url,
        LONGSHORE_TOKEN: token,
        LONGSHORE_ALLOW_PLAINTEXT: '1',
        BUILD_TAG: buildTag
      }
    })
    const cli = Number((await shell.waitForLine(/^cli=\d+/)).slice('cli='.length))
    return { shell, cli, waiting: waitingFor(shell), exit: () => shell.waitForLine(/^exit=/, 60_000) }
  }
}

type Scene = (t: Test, story: Story) => Promise<void>

/** Each begins with what the one before it leaves, so that none follows one that failed. */
export const playScenes = async (t: Test, story: Story, scenes: Record<string, Scene>): Promise<void> => {
  for (const [title, scene] of Object.entries(scenes)) {
    await t.test(title, (t) => scene(t, story))
    if (!t.passing()) return
  }
}

export type Pipeline = {
  shell: RunningProcess
  /** Process id of the command. */
  cli: number
  waiting: Waiting
  /** `exit=CODE`, as the shell saw it. */
  exit(): Promise<string>
}

export const exitCodes: Record<string, number> = {
  succeeded: 0,
  reverted: 1,
  refused: 4,
  mixed: 5,
  cancelled: 6,
  unknown: 7
}
