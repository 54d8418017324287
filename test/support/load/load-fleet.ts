// One host with the whole installation around it, and the app that is used under load as its services: versions
// are pushed, service files applied, deployments run and looked at as a user would, by the command line.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { bundlePrograms } from '../../../scripts/bundle.ts'
import { bundledPrograms } from '../../../scripts/hosts/programs.ts'
import type { Host } from '../engine.ts'
import { type Fleet, startFleet } from '../fleet.ts'
import type { Agent } from '../processes.ts'
import { makeTestFolder } from '../real-parts.ts'
import { waitUntil } from '../wait.ts'
import { type AppBehaviour, httpPort, linePort, machineVolumes, makeAppImage } from './app-image.ts'
import { startBoxedAgent } from './boxed-agent.ts'
import { startUnitAgent } from './unit-agent.ts'

/** The ports that the host publishes. */
export const ports = { web: 80, secure: 443, line: 7000 } as const

/** Runs a command beside units of systemd; @returns what it wrote. */
export type Inside = (...command: string[]) => Promise<string>
/** A process, a container or a unit of systemd. */
export type LoadAgent = {
  /** SIGTERM. */
  stop(): Promise<unknown>
  /** SIGKILL. */
  kill(): Promise<unknown>
  start(): Promise<void>
  /** Starts it where another HAProxy, this file, is the installed one. */
  startWithHaproxy(program: string): Promise<void>
  /** Only of a unit. */
  inside?: Inside
}
export type LoadFleet = Pick<Fleet, 'controller' | 'registry'> & {
  host: Host
  agent: LoadAgent
  folder: string
  /** Where the agent keeps its data. */
  dataFolder: string
  /** Pushes the app under its version as tag. */
  push(version: string, behaviour?: AppBehaviour): Promise<void>
  /** Keys of each service; they are added to those that every service of the app has. */
  apply(services: Record<string, object>): Promise<void>
  waitForAgent(): Promise<void>
  urls: { web: string; secure: string; line: { host: string; port: number } }
}

export type LoadFleetOptions = {
  /** Agent and HAProxy are processes, containers of the host's engine, or units of a systemd. */
  runAs?: 'process' | 'container' | 'unit'
  env?: Record<string, string>
}

export const startLoadFleet = async (t: Test, options: LoadFleetOptions = {}): Promise<LoadFleet> => {
  const folder = makeTestFolder(t)
  const programs = bundledPrograms(join(folder, 'out'))
  await bundlePrograms(join(folder, 'out'))
  const dataFolder = join(folder, 'agent')
  mkdirSync(dataFolder)
  const isProcess = (options.runAs ?? 'process') === 'process'
  const fleet = await startFleet(t, isProcess ? 1 : 0, {
    programs,
    spares: isProcess ? 0 : 1,
    agentOf: async () => ({ dataFolder, env: options.env ?? {} })
  })
  const { registry, controller } = fleet
  const host = fleet.hosts[0] ?? fleet.spares[0]
  if (host === undefined) throw new Error('no host')
  const tell = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await controller.cli(...args)
    if (exitCode !== 0) throw new Error(`longshore ${args.join(' ')} ended with ${exitCode}: ${stderr}`)
    return stdout.trim()
  }
  const waitForAgent = (): Promise<void> => waitForConnected(fleet)
  const startAgent = async (): Promise<LoadAgent> => {
    const parts = {
      dataFolder,
      folder,
      controllerUrl: controller.url,
      joinToken: await tell('join-token', 'create', '--env', 'test')
    }
    if (options.runAs === 'container')
      return startBoxedAgent(host, { ...parts, program: programs.agent, env: options.env ?? {} })
    const agent = await startUnitAgent(host, { ...parts, programs: dirname(programs.agent) })
    t.teardown(() => agent.end())
    return agent
  }
  const bare = fleet.hosts[0]?.agent
  const agent = bare === undefined ? await startAgent() : asLoadAgent(bare)
  await waitForAgent()
  let files = 0
  return {
    controller,
    registry,
    host,
    agent,
    folder,
    dataFolder,
    waitForAgent,
    push: async (version, behaviour) => {
      await registry.push('app', version, await makeAppImage(version, behaviour))
    },
    apply: async (services) => {
      files += 1
      const file = join(folder, `services-${files}.yaml`)
      const common = { image: `${registry.name}/app`, restart: 'always', volumes: machineVolumes }
      const all = Object.entries(services).map(([name, own]) => [name, { ...common, ...own }])
      // JSON is YAML too.
      writeFileSync(file, JSON.stringify({ services: Object.fromEntries(all) }))
      await tell('apply', '-f', file, '--env', 'test')
    },
    urls: {
      web: `http://${host.address}:${ports.web}`,
      secure: `https://${host.address}:${ports.secure}`,
      line: { host: host.address, port: ports.line }
    }
  }
}

const asLoadAgent = (agent: Agent): LoadAgent => ({
  stop: () => agent.stop(),
  kill: () => agent.kill(),
  start: () => agent.start(),
  startWithHaproxy: (program) => agent.start({ PATH: `${dirname(program)}:${process.env['PATH']}` })
})

/** Asks the API itself: a start of the command line for each look would take longer than what is awaited. */
const waitForConnected = async ({ controller }: Pick<Fleet, 'controller'>): Promise<void> => {
  const headers = { authorization: `Bearer ${controller.token}` }
  const look = async (): Promise<boolean> => {
    const answer = await fetch(`${controller.url}/v1/agents`, { headers })
    const agents = (await answer.json()) as { state: string }[]
    return agents.length === 1 && agents[0]?.state === 'connected'
  }
  await waitUntil('the agent to be connected', look, { deadlineMs: 60_000 })
}

/** Health by the agent's own requests: a check inside the container would start a process each time. */
const httpProbe = { http: { port: httpPort, path: '/health' }, interval: '200ms' }
const lineProbe = { tcp: { port: linePort }, interval: '200ms' }

/** What is said beside the common keys, as in a service file. */
type Rollout = { update?: object; longshore?: object }
const serviceOf = (
  published: number,
  target: number,
  probe: object,
  { update, longshore }: Rollout
): object => ({
  ports: [`${published}:${target}`],
  deploy: { update_config: { monitor: '300ms', ...update } },
  'x-longshore': { probe, ...longshore }
})

/** The app over HTTP/1.1 on port 80. */
export const webService = (rollout: Rollout = {}): object =>
  serviceOf(ports.web, httpPort, httpProbe, rollout)

/** The app's protocol of lines on port 7000. */
export const lineService = (rollout: Rollout = {}): object =>
  serviceOf(ports.line, linePort, lineProbe, rollout)

const startFirst = (longshore: object, update: object): Rollout => ({
  update: { order: 'start-first', ...update },
  longshore: { drain_timeout: `${graceMs}ms`, ...longshore }
})

/** So long what is under way may go on with a version that was replaced. */
export const graceMs = 4000

/** As `webService`, replaced without a gap. */
export const webWithoutGap = (longshore: object = {}, update: object = {}): object =>
  webService(startFirst(longshore, update))

/** The app behind TLS on port 443, for HTTP/2. */
export const secureWithoutGap = (certificate: { cert: string; key: string }): object =>
  serviceOf(
    ports.secure,
    httpPort,
    httpProbe,
    startFirst({ tls: { certificate: certificate.cert, key: certificate.key } }, {})
  )

/** As `lineService`, replaced without a gap in `mode: tcp`. */
export const lineWithoutGap = (longshore: object = {}): object =>
  lineService(startFirst({ mode: 'tcp', ...longshore }, {}))
