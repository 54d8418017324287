// Counters of services that go on where HAProxy begins anew: each worker's last counts are remembered, and what is
// told is the sum over all workers there ever were. A service's ports and their twins count together.
import type { RouteFigures } from '../../ports.ts'
import type { StatRow } from './answers.ts'
import { isBackendOf, isUpgradedName, serverName } from './names.ts'
import type { ServiceKey } from './routes.ts'

type Count = { requests: number; errors: number }

/** By proxy, then by server ('' for the whole). */
type Counts = Map<string, Map<string, Count>>
/** By worker. */
export type CountMemory = Map<string, Counts>

/** @param worker its process id, which may come again after a restart, as a server's name may: then counts are smaller */
export const rememberCounts = (memory: CountMemory, worker: string, rows: readonly StatRow[]): void => {
  const known = memory.get(worker)
  const proxies: Counts = new Map()
  for (const row of rows) {
    if (row.kind === 'frontend') continue
    const servers = proxies.get(row.proxy) ?? new Map<string, Count>()
    const before = known?.get(row.proxy)?.get(row.server)
    if (before !== undefined && row.total < before.requests)
      addToFormer(memory, row.proxy, new Map([[row.server, before]]))
    proxies.set(row.proxy, servers.set(row.server, readCount(row)))
  }
  // a server that was deleted is in no listing any more: what it counted stays
  for (const [proxy, servers] of known ?? []) {
    const listed = proxies.get(proxy) ?? new Map<string, Count>()
    for (const [server, count] of servers) if (!listed.has(server)) listed.set(server, count)
    proxies.set(proxy, listed)
  }
  memory.set(worker, proxies)
}

/** Where the counts of workers that are gone are kept together. */
const former = 'former'

/** @param running those that still count for themselves */
export const foldWorkers = (memory: CountMemory, running: readonly string[]): void => {
  for (const [worker, proxies] of memory) {
    if (worker === former || running.includes(worker)) continue
    memory.delete(worker)
    for (const [proxy, servers] of proxies) addToFormer(memory, proxy, servers)
  }
}

/** A server that was deleted: one that is added under its name counts from zero. */
export const foldServer = (memory: CountMemory, worker: string, proxy: string, server: string): void => {
  const servers = memory.get(worker)?.get(proxy)
  const count = servers?.get(server)
  if (count === undefined) return
  addToFormer(memory, proxy, new Map([[server, count]]))
  servers?.delete(server)
}

const addToFormer = (memory: CountMemory, proxy: string, servers: Map<string, Count>): void => {
  const all = memory.get(former) ?? new Map<string, Map<string, Count>>()
  memory.set(former, all.set(proxy, addCounts(all.get(proxy), servers)))
}

const addCounts = (to: Map<string, Count> | undefined, from: Map<string, Count>): Map<string, Count> => {
  const sums = new Map(to)
  for (const [server, { requests, errors }] of from) {
    const sum = sums.get(server) ?? { requests: 0, errors: 0 }
    sums.set(server, { requests: sum.requests + requests, errors: sum.errors + errors })
  }
  return sums
}

/**
 * A failed connection to a server is answered 503 in mode http, and so is among the backend's 5xx; in mode tcp
 * nothing has a status.
 */
const readCount = (row: StatRow): Count => {
  const { kind, mode, total, serverErrors, failedConnects, failedAnswers, cutAnswers } = row
  const unanswered = kind === 'server' ? failedConnects + failedAnswers : cutAnswers
  return { requests: total, errors: mode === 'tcp' ? failedConnects : serverErrors + unanswered }
}

/**
 * @param seen rows of every worker that runs now
 * @param containers of the service, by Docker's full id: those that get traffic or had some
 */
export const figuresOf = (
  key: ServiceKey,
  containers: readonly string[],
  memory: CountMemory,
  seen: readonly (readonly StatRow[])[]
): RouteFigures => {
  const rows = seen.flat().filter((row) => row.kind === 'backend' && isBackendOf(key, row.proxy))
  const sessions = (some: StatRow[]): number => some.reduce((sum, row) => sum + row.sessions, 0)
  return {
    ...key,
    ...sumCounts(memory, key, ''),
    sessions: sessions(rows),
    upgraded: sessions(rows.filter((row) => isUpgradedName(row.proxy))),
    latencyMs: meanAnswer(rows),
    containers: containers.map((id) => ({ id, ...sumCounts(memory, key, serverName(id)) }))
  }
}

const sumCounts = (memory: CountMemory, key: ServiceKey, server: string): Count => {
  const sum = { requests: 0, errors: 0 }
  for (const proxies of memory.values()) {
    for (const [proxy, servers] of proxies) {
      const count = isBackendOf(key, proxy) ? servers.get(server) : undefined
      sum.requests += count?.requests ?? 0
      sum.errors += count?.errors ?? 0
    }
  }
  return sum
}

/** HAProxy's mean of each port, weighed by how many requests each had. In mode tcp nothing is measured. */
const meanAnswer = (rows: readonly StatRow[]): number | null => {
  const answered = rows.filter((row) => row.mode === 'http' && row.total > 0 && !isUpgradedName(row.proxy))
  const requests = answered.reduce((sum, row) => sum + row.total, 0)
  if (requests === 0) return null
  return answered.reduce((sum, row) => sum + row.answerMs * row.total, 0) / requests
}
