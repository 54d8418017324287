// A whole installation for end-to-end tests: hosts, registry, controller, an agent per host, the service `web`
// with versions to deploy; and how to look at it from outside, at Docker and over HTTP.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Host, type Hosts, startTestHosts } from './engine.ts'
import { makeWebImage, type WebBehaviour, webPort } from './images.ts'
import {
  type Agent,
  type AgentOptions,
  type Controller,
  startTestAgent,
  startTestController
} from './processes.ts'
import { makeTestFolder } from './real-parts.ts'
import { type Registry, startTestRegistry } from './registry.ts'
import { waitUntil } from './wait.ts'

/** The port that every host publishes; each host has an address of its own. */
export const publishedPort = 80

export type FleetHost = Host & { agent: Agent }
export type Fleet = {
  controller: Controller
  /** For hosts without an engine. */
  network: Hosts['network']
  registry: Registry
  hosts: readonly FleetHost[]
  /** Hosts that have no agent so far. */
  spares: readonly Host[]
  /** Gives a host its agent; resolves when its process runs. */
  join(host: Host, environment: string): Promise<FleetHost>
  /** Pushes `web:TAG`, whose page answers the tag. */
  push(tag: string, behaviour?: WebBehaviour): Promise<string>
  /** Applies the service `web` to the environment `test`; `more` are further Compose keys, as JSON. */
  apply(more?: Record<string, unknown>): Promise<void>
  deploy(tag: string, ...args: string[]): Promise<DeployResult>
  /** What each host answers on the published port; `null`: nothing answers. */
  pages(): Promise<(string | null)[]>
  waitForAgents(state?: string): Promise<void>
}
export type DeployDocument = {
  id: string
  outcome: string
  unchanged: boolean
  reason: string | null
  release: number
  digest: string | null
  targets: { host: string; state: string; serving: string; reason?: string; code?: string }[]
}
export type DeployResult = { exitCode: number | null; document: DeployDocument; stderr: string }

const read = async (host: Host): Promise<string | null> => {
  try {
    const answer = await fetch(`http://${host.address}:${publishedPort}/`, {
      signal: AbortSignal.timeout(2000)
    })
    return (await answer.text()).trim()
  } catch {
    return null
  }
}

/** Starts everything and registers the agents; the environment is `test`. */
export const startFleet = async (
  t: Test,
  count: number,
  options: {
    agentEnv?: Record<string, string>
    controllerArgs?: readonly string[]
    controllerData?: string
    /** More of its environment. @param address where everything listens */
    controllerEnv?: (address: string) => Promise<Record<string, string>>
    /** Files to run instead of the sources. */
    programs?: { cli: string; agent: string }
    /** What is different about the agent of this host. */
    agentOf?: (host: Host) => Promise<Partial<AgentOptions>>
    /** So many hosts more, which have no agent until they are told to join. */
    spares?: number
  } = {}
): Promise<Fleet> => {
  const folder = makeTestFolder(t)
  const { hosts: all, network } = await startTestHosts(t, count + (options.spares ?? 0))
  const hosts = all.slice(0, count)
  const registry = await startTestRegistry(t, network.address)
  const controller = await startTestController(t, {
    address: network.address,
    ...(options.programs === undefined ? {} : { program: options.programs.cli }),
    ...(options.controllerArgs === undefined ? {} : { args: options.controllerArgs }),
    ...(options.controllerEnv === undefined ? {} : { env: await options.controllerEnv(network.address) }),
    ...(options.controllerData === undefined ? {} : { dataFolder: options.controllerData })
  })
  const expectDone = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await controller.cli(...args)
    if (exitCode !== 0) throw new Error(`longshore ${args.join(' ')} ended with ${exitCode}: ${stderr}`)
    return stdout.trim()
  }
  await expectDone('environments', 'create', 'test')
  const joinHost: Fleet['join'] = async (host, environment) => {
    const joinToken = await expectDone('join-token', 'create', '--env', environment)
    const agent = await startTestAgent(t, {
      name: host.name,
      controllerUrl: controller.url,
      joinToken,
      dockerHost: host.engine.dockerHost,
      enter: host.enter,
      ...(options.programs === undefined ? {} : { program: options.programs.agent }),
      ...(options.agentEnv === undefined ? {} : { env: options.agentEnv }),
      ...(await options.agentOf?.(host))
    })
    return Object.assign(host, { agent })
  }
  const withAgents = await Promise.all(hosts.map((host) => joinHost(host, 'test')))
  const waitForAgents: Fleet['waitForAgents'] = async (state = 'connected') => {
    await waitUntil(`every agent to be ${state}`, async () => {
      const { document } = await controller.cliJson<{ state: string }[]>('agents')
      return document.length === count && document.every((agent) => agent.state === state)
    })
  }
  await waitForAgents()
  return {
    controller,
    network,
    registry,
    hosts: withAgents,
    spares: all.slice(count),
    join: joinHost,
    push: (tag, behaviour) => registry.push('web', tag, makeWebImage(tag, behaviour)),
    apply: async (more = {}) => {
      const file = join(folder, 'web.yaml')
      mkdirSync(folder, { recursive: true })
      const service = {
        image: `${registry.name}/web`,
        ports: [`${publishedPort}:${webPort}`],
        restart: 'always',
        deploy: { update_config: { monitor: '500ms' } },
        ...more
      }
      // JSON is YAML too.
      writeFileSync(file, JSON.stringify({ services: { web: service } }))
      await expectDone('apply', '-f', file, '--env', 'test')
    },
    deploy: (tag, ...args) =>
      controller.cliJson<DeployDocument>('deploy', 'web', '--env', 'test', '--tag', tag, ...args),
    pages: () => Promise.all(hosts.map(read)),
    waitForAgents
  }
}
