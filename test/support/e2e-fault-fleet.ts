// A fleet in which things are killed: every agent reaches its engine through a gate, deployments run beside the
// test, and what the command line claimed at the end is compared with what Docker and HTTP show on each host.
import { join } from 'node:path'
import type { Test } from 'tap'
import { builtPrograms } from './built-programs.ts'
import { type EngineGate, openEngineGate } from './e2e-engine-gate.ts'
import type { Host } from './engine.ts'
import { type DeployDocument, type Fleet, type FleetHost, startFleet } from './fleet.ts'
import type { WebBehaviour } from './images.ts'
import type { RunningProcess } from './processes.ts'
import { makeTestFolder } from './real-parts.ts'
import { waitUntil } from './wait.ts'

/** `LONGSHORE_PROOF=1`, `npm run proof:faults`: every point; without it a choice that has each kind once. */
export const isProof = process.env['LONGSHORE_PROOF'] === '1'
/** The long form has hundreds of deployments of some seconds each. */
export const realPartsOptions = { timeoutMs: isProof ? 90 * 60_000 : 900_000 }

export type FaultHost = FleetHost & { gate: EngineGate }
export type FaultFleet = Omit<Fleet, 'hosts' | 'join'> & {
  hosts: readonly FaultHost[]
  join(host: Host, environment: string): Promise<FaultHost>
  /** The file that `node` runs as `longshore`. */
  program: string
  /** Pushes a version that never was before; returns its tag. */
  pushNext(behaviour?: WebBehaviour): Promise<string>
  /** Starts any command that waits for a deployment, and leaves it waiting. */
  start(...args: string[]): Promise<Waiting>
  /** Starts `longshore deploy` of the service `web`, once every agent is connected. */
  begin(tag: string, ...args: string[]): Promise<Waiting>
}
export type Waiting = {
  process: RunningProcess
  /** Resolves when the command has ended by itself. */
  end(): Promise<Ended>
  /** What happens beside the command; when it fails, its error is joined by what the command said. */
  meanwhile<T>(happening: Promise<T>): Promise<T>
}
export type Ended = { exitCode: number | null; document: DeployDocument; output: string }

/** Starts it; the service `web` is applied when the test says so. */
export const startFaultFleet = async (
  t: Test,
  count: number,
  options: { controllerArgs?: readonly string[]; controllerData?: string; spares?: number } = {}
): Promise<FaultFleet> => {
  const gates = new Map<string, EngineGate>()
  const programs = await builtPrograms(join(makeTestFolder(t), 'out'))
  const fleet = await startFleet(t, count, {
    ...options,
    programs,
    agentOf: async (host) => {
      const dataFolder = join(makeTestFolder(t), 'agent')
      const gate = await openEngineGate(t, host.engine.socketPath, join(dataFolder, 'journal.sqlite'))
      gates.set(host.name, gate)
      return { dataFolder, dockerHost: gate.dockerHost, env: { LONGSHORE_LABELS: `host=${host.name}` } }
    }
  })
  const withGate = (host: FleetHost): FaultHost => {
    const gate = gates.get(host.name)
    if (gate === undefined) throw new Error(`no gate for ${host.name}`)
    return Object.assign(host, { gate })
  }
  const hosts = fleet.hosts.map(withGate)
  const start: FaultFleet['start'] = async (...args) => {
    const process = await fleet.controller.startCli(...args, '--output', 'ndjson')
    return waitingFor(process)
  }
  let versions = 0
  return {
    ...fleet,
    hosts,
    join: async (host, environment) => withGate(await fleet.join(host, environment)),
    program: programs.cli,
    start,
    pushNext: async (behaviour) => {
      versions += 1
      const tag = `v${versions}`
      await fleet.push(tag, behaviour)
      return tag
    },
    begin: async (tag, ...args) => {
      // An agent killed at the end of the last deployment may still be on its way back.
      await waitForSessions(fleet)
      return start('deploy', 'web', '--env', 'test', '--tag', tag, ...args)
    }
  }
}

export const waitingFor = (process: RunningProcess): Waiting => ({
  process,
  end: () => endOf(process),
  meanwhile: (happening) =>
    happening.catch((cause: unknown) => {
      throw new Error(`${String(cause)}; meanwhile ${process.name} said:\n${process.output}`, { cause })
    })
})

/** Asks the API itself: a start of the command line for each look would take longer than what is awaited. */
export const waitForSessions = async ({
  controller,
  hosts
}: Pick<Fleet, 'controller' | 'hosts'>): Promise<void> => {
  const headers = { authorization: `Bearer ${controller.token}` }
  await waitUntil('every agent to be connected', async () => {
    const answer = await fetch(`${controller.url}/v1/agents`, { headers })
    const agents = (await answer.json()) as { state: string }[]
    return agents.length === hosts.length && agents.every(({ state }) => state === 'connected')
  })
}

/** The last line that is the result; a command that printed none fails the test with all that it said. */
const endOf = async (process: RunningProcess): Promise<Ended> => {
  const { exitCode } = await process.ended
  const { output } = process
  const line = output.split('\n').findLast((text) => text.startsWith('{') && text.includes('"type":"result"'))
  if (line === undefined) throw new Error(`${process.name} ended with ${exitCode} and no result:\n${output}`)
  return { exitCode, document: JSON.parse(line) as DeployDocument, output }
}

export type SeenContainer = {
  id: string
  release: number
  isRunning: boolean
  /** False: was only created so far. */
  hasRun: boolean
  restartPolicy: string
}

/** Containers of the service on this host, as Docker itself tells it. */
export const containersOf = async ({ engine }: FaultHost): Promise<SeenContainer[]> => {
  const filters = encodeURIComponent(JSON.stringify({ label: ['longshore.service=web'] }))
  const listed = await engine.client.get<{ Id: string }[]>(`/containers/json?all=true&filters=${filters}`)
  const looks = await Promise.all(
    listed.map(({ Id }) =>
      engine.client
        .get<{
          State: { Running: boolean; Restarting: boolean; Status: string }
          HostConfig: { RestartPolicy: { Name: string } }
          Config: { Labels: Record<string, string> }
        }>(`/containers/${Id}/json`)
        .catch(() => undefined)
    )
  )
  return looks.flatMap((look, index) =>
    look === undefined
      ? []
      : {
          id: listed[index]?.Id ?? '',
          release: Number(look.Config.Labels['longshore.release']),
          isRunning: look.State.Running || look.State.Restarting,
          hasRun: look.State.Status !== 'created',
          restartPolicy: look.HostConfig.RestartPolicy.Name
        }
  )
}

const exitCodeOf: Record<string, number> = { succeeded: 0, reverted: 1, refused: 4, mixed: 5, cancelled: 6 }

/**
 * Compares what was claimed with what is: the exit code with the outcome, and on each host that is not `unknown`
 * the page and the running container with what it is said to serve. Whatever is down stays down at an engine
 * restart.
 * @param before what answered before the deployment; null: nothing
 */
export const expectTruth = async (
  t: Test,
  fleet: FaultFleet,
  { exitCode, document }: Ended,
  tags: { before: string | null; after: string }
): Promise<void> => {
  const { outcome, targets, release } = document
  t.equal(exitCode, exitCodeOf[outcome], `${outcome} is what the exit code says; ${document.reason}`)
  const pages = await fleet.pages()
  for (const [index, host] of fleet.hosts.entries()) {
    const serving = targets.find((target) => target.host === host.name)?.serving
    if (outcome === 'succeeded') t.equal(serving, 'new', `${host.name} serves the new release`)
    if (outcome === 'reverted' || outcome === 'cancelled')
      t.equal(serving, tags.before === null ? 'none' : 'old', `${host.name} is back`)
    if (serving === 'unknown') continue
    const page = serving === 'new' ? tags.after : serving === 'old' ? tags.before : null
    t.equal(pages[index], page, `${host.name} answers what it is said to serve (${serving})`)
    const containers = await containersOf(host)
    const running = containers.filter(({ isRunning }) => isRunning)
    t.equal(running.length, page === null ? 0 : 1, `${host.name}: ${JSON.stringify(containers)}`)
    if (serving === 'new') t.equal(running[0]?.release, release)
    expectKeptStaysDown(t, host, containers)
  }
}

/** No container that is down has a restart policy that would bring it back beside its successor. */
export const expectKeptStaysDown = (t: Test, host: FaultHost, containers: readonly SeenContainer[]): void => {
  const down = containers.filter(({ isRunning }) => !isRunning)
  t.strictSame(
    down.map(({ restartPolicy }) => restartPolicy),
    down.map(() => 'no'),
    `${host.name}: what is down has no restart policy`
  )
}

/** After a success: nothing is kept any more on any host. */
export const waitForSettled = async (fleet: FaultFleet): Promise<void> => {
  await waitUntil(
    'every host to keep one container only',
    async () => (await Promise.all(fleet.hosts.map(containersOf))).every(({ length }) => length === 1),
    { deadlineMs: 60_000, intervalMs: 100 }
  )
}

/** The host with this number, from 1. */
export const hostOf = (fleet: FaultFleet, number: number): FaultHost => {
  const host = fleet.hosts[number - 1]
  if (host === undefined) throw new RangeError(`the fleet has no host ${number}`)
  return host
}
