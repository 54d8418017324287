// Which runtime calls make the servers of HAProxy those that are wanted, and whether they are. Additions come before
// what takes traffic away, in calls of their own: a server that could not be added leaves the former ones serving.
import type { StatRow } from './answers.ts'
import type { WantedBackend, WantedServer } from './backends.ts'

export type SwitchPlan = {
  /** Lines for the socket, each to be answered before the next. */
  additions: string[]
  withdrawals: string[]
}

type Seen = Pick<StatRow, 'kind' | 'proxy' | 'server' | 'state' | 'address'>

export const planSwitch = (wanted: readonly WantedBackend[], seen: readonly Seen[]): SwitchPlan => ({
  additions: joinCalls(wanted.flatMap((backend) => additionsFor(backend, serversIn(backend, seen)))),
  withdrawals: joinCalls(wanted.flatMap((backend) => withdrawalsFor(backend, serversIn(backend, seen))))
})

/** @returns what is not as wanted, in words for the log; empty when all of it is */
export const findDifferences = (wanted: readonly WantedBackend[], seen: readonly Seen[]): string[] =>
  wanted.flatMap((backend) => {
    const servers = serversIn(backend, seen)
    const missing = backend.servers.filter((server) => !servers.some((one) => isServing(one, server)))
    const extra = servers.filter((one) => one.state === 'ready' && !isWanted(backend, one))
    return [
      ...missing.map(({ name }) => `${name} of ${backend.name} gets no traffic`),
      ...extra.map(({ server }) => `${server} of ${backend.name} gets traffic`)
    ]
  })

const serversIn = (backend: WantedBackend, seen: readonly Seen[]): Seen[] =>
  seen.filter((row) => row.kind === 'server' && row.proxy === backend.name)

const isWanted = (backend: WantedBackend, seen: Seen): boolean =>
  backend.servers.some(({ name }) => name === seen.server)

const isServing = (seen: Seen, wanted: WantedServer): boolean =>
  seen.server === wanted.name && seen.state === 'ready' && seen.address === wanted.address

const additionsFor = (backend: WantedBackend, servers: Seen[]): string[] =>
  backend.servers.flatMap((wanted) => {
    const path = `${backend.name}/${wanted.name}`
    const ready = `set server ${path} state ready`
    const found = servers.find(({ server }) => server === wanted.name)
    if (found === undefined)
      return [`add server ${path} ${wanted.address} ${backend.serverOptions}`.trimEnd(), ready]
    if (found.address !== wanted.address) return [moveServer(path, wanted.address), ready]
    return found.state === 'ready' ? [] : [ready]
  })

const moveServer = (path: string, address: string): string => {
  const colon = address.lastIndexOf(':')
  const ip = address.slice(0, colon).replace(/^\[|\]$/g, '')
  return `set server ${path} addr ${ip} port ${address.slice(colon + 1)}`
}

const withdrawalsFor = (backend: WantedBackend, servers: Seen[]): string[] =>
  servers
    .filter((one) => one.state === 'ready' && !isWanted(backend, one))
    .map((one) => `set server ${backend.name}/${one.server} state drain`)

/** Well below HAProxy's buffer of 16384 bytes; calls of one server may be parted. */
const maxLineChars = 4_000

const joinCalls = (calls: string[]): string[] => {
  const lines: string[] = []
  for (const call of calls) {
    const last = lines.at(-1)
    if (last === undefined || last.length + call.length > maxLineChars) lines.push(call)
    else lines[lines.length - 1] = `${last}; ${call}`
  }
  return lines
}
