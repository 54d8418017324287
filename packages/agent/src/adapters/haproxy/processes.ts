// What /proc tells of HAProxy: which processes run on our configuration, whether or not their sockets answer, and who
// listens on a port. In a PID namespace of its own the agent sees only itself; then owners are not known.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { endianness } from 'node:os'

/** Ids of processes whose command line names the configuration file: masters, workers, also of a lost folder. */
export const findByConfig = (configPath: string): number[] =>
  processIds().filter((pid) => {
    const words = readOr(`/proc/${pid}/cmdline`, '').split('\0')
    return words.includes(configPath) && words.includes('-f') && !isZombie(pid)
  })

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** After the name in parentheses, which may hold anything: state, then parent. */
const statOf = (pid: number): string[] => {
  const text = readOr(`/proc/${pid}/stat`, '')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

const isZombie = (pid: number): boolean => statOf(pid)[0] === 'Z'

export const parentOf = (pid: number): number => Number(statOf(pid)[1] ?? 0)

export const programOf = (pid: number): string => readOr(`/proc/${pid}/comm`, 'unknown').trim()

export type Listener = {
  /** null: all addresses. */
  address: string | null
  inode: string
  /** null: a process that cannot be looked into. */
  pids: number[]
}

/** Listening TCP sockets of a port, IPv4 and IPv6. */
export const findListeners = (port: number): Listener[] => {
  const found = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => readListeners(path, port))
  if (found.length === 0) return []
  const owners = findOwners(new Set(found.map(({ inode }) => inode)))
  return found.map((one) => ({ ...one, pids: owners.get(one.inode) ?? [] }))
}

export const hasIpv6 = (): boolean => readOr('/proc/net/tcp6', '') !== ''

/** State 0A of include/net/tcp_states.h is LISTEN. */
const readListeners = (path: string, port: number): { address: string | null; inode: string }[] =>
  readOr(path, '')
    .split('\n')
    .flatMap((line) => {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
      const [address = '', hexPort = ''] = local.split(':')
      if (state !== '0A' || inode === undefined || Number.parseInt(hexPort, 16) !== port) return []
      return [{ address: readAddress(address), inode }]
    })

/** IPv4 as the kernel writes it, in the order of its own bytes; an IPv6 address is left as it is. */
const readAddress = (hex: string): string | null => {
  if (/^0+$/.test(hex)) return null
  if (hex.length !== 8) return hex
  const bytes = [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16))
  return (endianness() === 'LE' ? bytes : bytes.reverse()).join('.')
}

const findOwners = (inodes: ReadonlySet<string>): Map<string, number[]> => {
  const owners = new Map<string, number[]>()
  for (const pid of processIds()) {
    for (const inode of socketsOf(pid)) {
      if (inodes.has(inode)) owners.set(inode, [...(owners.get(inode) ?? []), pid])
    }
  }
  return owners
}

const socketsOf = (pid: number): Set<string> => {
  const sockets = new Set<string>()
  for (const fd of listOr(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      if (inode !== undefined) sockets.add(inode)
    } catch {
      // closed between the two looks
    }
  }
  return sockets
}

const processIds = (): number[] =>
  listOr('/proc')
    .map(Number)
    .filter((pid) => pid > 0)

const listOr = (path: string): string[] => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

const readOr = (path: string, otherwise: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}
