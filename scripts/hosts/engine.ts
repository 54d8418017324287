// How a private Docker Engine is run as one host: its own data, its own key, its own network namespace. It
// touches nothing of another engine on the machine. Containers of a stopped engine are removed with it.
//
// `nsenter`, not `ip netns exec`: that one mounts a fresh /sys, without cgroups, and dockerd does not start.
// Without a key file of its own every engine of the machine reports the same ID.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectEngine, type EngineClient, isEngineReady } from './engine-client.ts'
import type { HostNamespace } from './network.ts'
import { identifyProcess } from './process-identity.ts'
import {
  containerdPidFile,
  endProcesses,
  engineProcesses,
  namespaceProcesses,
  removeFolder
} from './remove-leftovers.ts'
import { type RunningProcess, startProcess } from './start-process.ts'
import { waitUntil } from './wait-until.ts'

export type Engine = {
  client: EngineClient
  socketPath: string
  /** For DOCKER_HOST. */
  dockerHost: string
  /** SIGKILL to the daemon; its containers keep running until it starts again. */
  kill(): Promise<void>
  /** SIGTERM to the daemon: it stops its containers as at a shutdown. Their data stays. */
  shutDown(): Promise<void>
  /** Starts the daemon again on the same data; resolves when it answers. */
  start(): Promise<void>
  /** Removes the containers, ends the daemon, deletes the data. */
  remove(): Promise<void>
}

const daemonArgs = (folder: string, configFile: string, bridge: string, insecureSubnet: string): string[] => [
  'dockerd',
  `--config-file=${configFile}`,
  `--data-root=${join(folder, 'root')}`,
  `--exec-root=${join(folder, 'exec')}`,
  `--pidfile=${join(folder, 'pid')}`,
  `--host=unix://${join(folder, 'docker.sock')}`,
  `--insecure-registry=${insecureSubnet}`,
  `--bip=${bridge}`,
  '--log-level=warn'
]

/**
 * Deletes pid files of daemons that are gone. dockerd asks with signal 0 whether its containerd lives, and takes
 * a zombie for alive: where nobody reaps orphans (a container's first process), a killed engine would wait for
 * it in vain.
 */
const forgetDeadDaemons = (folder: string): void => {
  rmSync(join(folder, 'pid'), { force: true })
  const pidFile = join(folder, containerdPidFile)
  if (existsSync(pidFile) && identifyProcess(Number(readFileSync(pidFile, 'utf8'))) === undefined)
    rmSync(pidFile)
}

const removeContainers = async (client: EngineClient): Promise<void> => {
  const containers = await client.get<{ Id: string }[]>('/containers/json?all=true')
  await Promise.all(containers.map(({ Id }) => client.delete(`/containers/${Id}?force=true&v=true`)))
}

/**
 * Starts an engine; resolves when it answers, after about two seconds.
 * @param folder absolute, and short: a unix socket's path has at most 107 characters
 * @param insecureSubnet CIDR in which registries may speak plain HTTP
 */
export const startEngine = async (
  folder: string,
  host: HostNamespace,
  insecureSubnet: string
): Promise<Engine> => {
  mkdirSync(folder, { recursive: true })
  const configFile = join(folder, 'daemon.json')
  writeFileSync(configFile, JSON.stringify({ 'deprecated-key-path': join(folder, 'key.json') }))
  const socketPath = join(folder, 'docker.sock')
  const client = connectEngine(socketPath)
  let daemon: RunningProcess | undefined

  const start = async (): Promise<void> => {
    if (daemon?.isRunning) return
    forgetDeadDaemons(folder)
    const started = await startProcess({
      name: `dockerd of ${host.namespace}`,
      file: 'nsenter',
      args: [
        `--net=/run/netns/${host.namespace}`,
        // Inside the namespace no other engine exists, so that every host may use the same bridge network.
        ...daemonArgs(folder, configFile, '172.31.0.1/24', insecureSubnet)
      ]
    })
    daemon = started
    await waitUntil(
      `${started.name} to answer; it said:\n${started.output}`,
      async () => {
        if (!started.isRunning) throw new Error(`${started.name} ended:\n${started.output}`)
        return isEngineReady(socketPath)
      },
      { deadlineMs: 60_000 }
    )
  }
  const remove = async (): Promise<void> => {
    if (daemon?.isRunning) await removeContainers(client).catch(() => undefined)
    await daemon?.stop(15_000)
    await endProcesses([...(await namespaceProcesses([host.namespace])), ...engineProcesses(folder)])
    await removeFolder(folder)
  }
  await start().catch(async (error: unknown) => {
    await remove()
    throw error
  })
  return {
    client,
    socketPath,
    dockerHost: `unix://${socketPath}`,
    kill: async () => {
      await daemon?.kill()
    },
    shutDown: async () => {
      await daemon?.stop(30_000)
    },
    start,
    remove
  }
}
