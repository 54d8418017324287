// Which network the hosts of one machine live in: a bridge in a namespace of its own, one namespace per host,
// the machine itself at address .1. Several such networks exist side by side: the name of the link, which the
// kernel gives out once, is the claim to one /24, and its alias says who holds it, so that what a killed owner
// left behind is found and removed. Engines are left to engine.ts.
//
// The bridge has its own namespace because an engine's FORWARD DROP rule would stop bridged packets too.

import { identifyProcess, isSameProcessAlive, type ProcessIdentity } from './process-identity.ts'
import { removeLeftovers } from './remove-leftovers.ts'
import { CommandFailed, collectCommand, runCommand } from './run-command.ts'

/** Networks 10.215.0.0/24 to 10.215.255.0/24: private (RFC 1918) and rarely used. */
const subnetPrefix = '10.215'
const subnetCount = 256

export type HostNamespace = {
  /** Name of the network namespace, as in /run/netns. */
  namespace: string
  address: string
  /** Takes the host's cable out: no packet reaches it or leaves it. */
  cut(): Promise<void>
  /** Puts the cable back. */
  mend(): Promise<void>
}
export type HostNetwork = {
  /** Address of the machine itself: registry and controller listen here. */
  address: string
  /** CIDR notation. */
  subnet: string
  addHost(): Promise<HostNamespace>
  close(): Promise<void>
}

const ip = (line: string): Promise<string> => runCommand('ip', line.split(' '))
const linkOf = (index: number): string => `lsh${index}`
const hubOf = (index: number): string => `lsh${index}-hub`

/** Who holds the network, as written into the link's alias (at most 255 characters). */
type Claim = ProcessIdentity & { folder: string }
const formatClaim = (claim: Claim): string => `${claim.pid} ${claim.startTicks} ${claim.folder}`
const parseClaim = (alias: string): Claim | undefined => {
  const [, pid, startTicks, folder] = /^(\d+) (\d+) (\/.+)$/.exec(alias.trim()) ?? []
  return pid === undefined || startTicks === undefined || folder === undefined
    ? undefined
    : { pid: Number(pid), startTicks, folder }
}

const claimOf = async (index: number): Promise<Claim | undefined> => {
  const found = await collectCommand('ip', ['-j', 'link', 'show', 'dev', linkOf(index)])
  if (found.exitCode !== 0) return undefined
  const [link] = JSON.parse(found.stdout) as { ifalias?: string }[]
  return parseClaim(link?.ifalias ?? '')
}

const removeNamespaces = async (index: number): Promise<void> => {
  const listed = JSON.parse((await runCommand('ip', ['-j', 'netns', 'list'])) || '[]') as { name: string }[]
  for (const { name } of listed) {
    if (name.startsWith(`${linkOf(index)}-`)) await collectCommand('ip', ['netns', 'del', name])
  }
}

/** Removes the namespaces and the link of a network; the link, which is the claim, after them. */
const removeNetwork = async (index: number): Promise<void> => {
  await removeNamespaces(index)
  await collectCommand('ip', ['link', 'del', linkOf(index)])
  await collectCommand('ip', `route del unreachable ${subnetPrefix}.${index}.0/24 metric 4000`.split(' '))
}

/** Ends and removes everything of networks whose owner was killed. */
export const removeAbandonedNetworks = async (): Promise<void> => {
  const links = JSON.parse(await runCommand('ip', ['-j', 'link', 'show'])) as { ifname: string }[]
  for (const { ifname } of links) {
    const index = /^lsh(\d+)$/.exec(ifname)?.[1]
    if (index === undefined) continue
    const claim = await claimOf(Number(index))
    if (claim === undefined || isSameProcessAlive(claim)) continue
    await removeLeftovers(claim.folder, `${ifname}-`)
    await removeNetwork(Number(index))
  }
}

/** True when the machine has a route into the subnet already: an office network, another tool's bridge. */
const isRouted = async (index: number): Promise<boolean> => {
  const routes = JSON.parse((await runCommand('ip', ['-j', '-4', 'route', 'show'])) || '[]') as {
    dst: string
  }[]
  const [a, b] = subnetPrefix.split('.').map(Number)
  const wanted = (((a ?? 0) << 24) | ((b ?? 0) << 16) | (index << 8)) >>> 0
  return routes.some(({ dst }) => {
    const [address, length] = dst.split('/')
    const octets = address?.split('.').map(Number) ?? []
    if (octets.length !== 4) return false
    const bits = Math.min(Number(length ?? 32), 24)
    const start = octets.reduce((sum, octet) => sum * 256 + octet, 0)
    return bits > 0 && Math.floor(start / 2 ** (32 - bits)) === Math.floor(wanted / 2 ** (32 - bits))
  })
}

const tryClaim = async (index: number, claim: Claim): Promise<boolean> => {
  if (await isRouted(index)) return false
  try {
    await ip(`link add ${linkOf(index)} type veth peer name ${linkOf(index)}p`)
  } catch (error) {
    if (error instanceof CommandFailed && error.stderr.includes('File exists')) return false
    throw error
  }
  await runCommand('ip', ['link', 'set', 'dev', linkOf(index), 'alias', formatClaim(claim)])
  return true
}

const claimSubnet = async (folder: string): Promise<number> => {
  const self = identifyProcess(process.pid)
  if (self === undefined) throw new Error('/proc does not show this process')
  await removeAbandonedNetworks()
  const first = process.pid % subnetCount
  for (let offset = 0; offset < subnetCount; offset++) {
    const index = (first + offset) % subnetCount
    if (await tryClaim(index, { ...self, folder })) return index
  }
  throw new Error(`every network from ${subnetPrefix}.0.0/24 to ${subnetPrefix}.255.0/24 is taken`)
}

const layHub = async (index: number): Promise<void> => {
  const [link, hub, address] = [linkOf(index), hubOf(index), `${subnetPrefix}.${index}`]
  await ip(`netns add ${hub}`)
  await ip(`-n ${hub} link add br0 type bridge`)
  await ip(`-n ${hub} link set br0 up`)
  await ip(`link set ${link}p netns ${hub}`)
  await ip(`-n ${hub} link set ${link}p master br0 up`)
  await ip(`addr add ${address}.1/24 dev ${link}`)
  await ip(`link set ${link} up`)
  // While the link is down, packets for the hosts must not leave by the machine's default route.
  await ip(`route add unreachable ${address}.0/24 metric 4000`)
}

const layHost = async (index: number, host: number): Promise<HostNamespace> => {
  const [hub, namespace] = [hubOf(index), `${linkOf(index)}-host${host}`]
  const [network, address] = [`${subnetPrefix}.${index}`, `${subnetPrefix}.${index}.${10 + host}`]
  await ip(`netns add ${namespace}`)
  await ip(`-n ${hub} link add v${host} type veth peer name eth0 netns ${namespace}`)
  await ip(`-n ${hub} link set v${host} master br0 up`)
  await ip(`-n ${namespace} addr add ${address}/24 dev eth0`)
  await ip(`-n ${namespace} link set lo up`)
  await ip(`-n ${namespace} link set eth0 up`)
  await ip(`-n ${namespace} route add default via ${network}.1`)
  return {
    namespace,
    address,
    cut: async () => {
      await ip(`-n ${hub} link set v${host} down`)
    },
    mend: async () => {
      await ip(`-n ${hub} link set v${host} up`)
    }
  }
}

/**
 * Opens a network of its own, as root.
 * @param folder absolute; where its hosts keep their files. Whoever finds the network abandoned ends the
 *   processes of the engines below it.
 */
export const openNetwork = async (folder: string): Promise<HostNetwork> => {
  const index = await claimSubnet(folder)
  try {
    // What an earlier owner was kept from removing.
    await removeNamespaces(index)
    await layHub(index)
  } catch (error) {
    await removeNetwork(index)
    throw error
  }
  let hostCount = 0
  return {
    address: `${subnetPrefix}.${index}.1`,
    subnet: `${subnetPrefix}.${index}.0/24`,
    addHost: () => layHost(index, ++hostCount),
    close: () => removeNetwork(index)
  }
}
