// On what the demo stands: as root on Debian or Ubuntu two private hosts, elsewhere the Docker Engine that is
// found, as one host; or a sentence that says what to install.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { connectEngine, isEngineReady } from '../hosts/engine-client.ts'
import { startHosts } from '../hosts/hosts.ts'
import { collectCommand } from '../hosts/run-command.ts'
import { busyboxPath } from '../hosts/web-image.ts'

export type DemoHost = { name: string; dockerHost: string; enter: readonly string[]; address: string }
export type Ground = {
  hosts: readonly DemoHost[]
  /** Where registry and controller listen, reachable from every host. */
  address: string
  remove(): Promise<void>
}

/** The demo cannot run here; the message says what to do. */
export class DemoImpossible extends Error {
  override readonly name = 'DemoImpossible'
  readonly code = 'demo-impossible'
}

const programs = ['dockerd', 'docker-registry', 'iptables', 'ip', 'nsenter', 'setpriv']
const setupScript = resolve(import.meta.dirname, '../setup-tests.sh')
/** A unix socket's path may have 107 characters; the engine appends up to 60 of its own. */
const maxFolderChars = 45

const isInstalled = (program: string): boolean =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin'].some((folder) =>
    existsSync(join(folder, program))
  )
const missingFrom = (wanted: readonly string[]): string[] => [
  ...wanted.filter((program) => !isInstalled(program)),
  ...(existsSync(busyboxPath) ? [] : ['busybox-static'])
]

const isDebianLike = (): boolean => {
  try {
    return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return false
  }
}

const installMissing = async (say: (line: string) => void): Promise<void> => {
  const missing = missingFrom(programs)
  if (missing.length === 0) return
  say(`Installing from Debian's packages what is missing: ${missing.join(', ')} (docker.io and a few more)`)
  const { exitCode, stderr } = await collectCommand('bash', [setupScript], { timeoutMs: 600_000 })
  if (exitCode !== 0) throw new DemoImpossible(`The installation failed:\n${stderr}`)
}

const startPrivateHosts = async (folder: string): Promise<Ground> => {
  if (folder.length > maxFolderChars) {
    throw new DemoImpossible(
      `The path ${folder} is too long for the engines' sockets: clone into a shorter one, for example /tmp/longshore`
    )
  }
  const { hosts, network, remove } = await startHosts(folder, 2)
  return {
    hosts: hosts.map(({ name, engine, enter, address }) => ({
      name,
      dockerHost: engine.dockerHost,
      enter,
      address
    })),
    address: network.address,
    remove
  }
}

/** Containers and images that the demo left on the machine's own engine, by Longshore's labels and tags. */
const cleanEngine = async (socketPath: string): Promise<void> => {
  const client = connectEngine(socketPath)
  const list = (path: string, filters: object): Promise<{ Id: string }[]> =>
    client.get(`${path}?all=true&filters=${encodeURIComponent(JSON.stringify(filters))}`)
  const label = ['longshore.environment=demo', 'longshore.service=web']
  for (const { Id } of await list('/containers/json', { label }))
    await client.delete(`/containers/${Id}?force=true&v=true`)
  for (const { Id } of await list('/images/json', { reference: ['longshore/web:demo-r*'] }))
    await client.delete(`/images/${Id}?force=true`)
}

const useEngineFound = async (): Promise<Ground> => {
  const dockerHost = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock'
  const socketPath = dockerHost.replace(/^unix:\/\//, '')
  const missing = missingFrom(['docker-registry', 'setpriv'])
  if (!(await isEngineReady(socketPath))) missing.unshift('a Docker Engine that this user may use')
  if (missing.length > 0) {
    throw new DemoImpossible(
      `The demo lacks here: ${missing.join(', ')}. As root on Debian or Ubuntu it installs that by itself; elsewhere install Docker Engine, Distribution's registry as docker-registry, a static busybox as ${busyboxPath} and util-linux (setpriv).`
    )
  }
  await cleanEngine(socketPath)
  const host = { name: 'host1', dockerHost: `unix://${socketPath}`, enter: [], address: '127.0.0.1' }
  return { hosts: [host], address: '127.0.0.1', remove: () => cleanEngine(socketPath) }
}

/**
 * @param folder absolute; everything that the demo writes is below it
 * @param isWanted asked after an installation, which is never broken off, because it takes its time
 */
export const prepareGround = async (
  folder: string,
  say: (line: string) => void,
  isWanted: () => boolean
): Promise<Ground> => {
  if (process.getuid?.() !== 0 || !isDebianLike()) return useEngineFound()
  await installMissing(say)
  if (!isWanted()) throw new DemoImpossible('The demo was interrupted')
  say('Starting two hosts: a network namespace and a private Docker Engine each, below .longshore/')
  return startPrivateHosts(folder)
}
