// What is attached to containers that lost their traffic, over all of HAProxy's workers. A worker that a reload
// replaced keeps its list of servers as it was and takes no changes: a client that was idle then may still send one
// request by that list, so such a worker counts until none can come any more.
import type { Connections } from '@longshore/protocol'
import type { ProxyProcess, StatRow } from './answers.ts'
import { frontendOf, isBackendOf, isUpgradedName, serverName } from './names.ts'
import type { ServiceKey } from './routes.ts'

/** `timeout http-keep-alive`, then `timeout http-request` for the headers, and a second of rounding in `show proc`. */
export const lastRequestMs = 30_000 + 15_000 + 1_000

export type ServerRow = Pick<StatRow, 'kind' | 'mode' | 'proxy' | 'server' | 'state' | 'sessions'>

/** The rows of these containers among all. */
export const rowsOf = <R extends ServerRow>(
  rows: readonly R[],
  key: ServiceKey,
  containers: readonly string[]
): R[] => {
  const names = new Set(containers.map(serverName))
  return rows.filter((row) => row.kind === 'server' && isBackendOf(key, row.proxy) && names.has(row.server))
}

export const countAttached = (rows: readonly ServerRow[]): Connections => {
  const sum = (isUpgraded: boolean): number =>
    rows
      .filter((row) => isUpgradedName(row.proxy) === isUpgraded)
      .reduce((total, row) => total + row.sessions, 0)
  return { requests: sum(false), upgraded: sum(true) }
}

/**
 * Of an old worker: what is attached, and which idle clients could still send a request to one of the containers.
 * Those that the worker knows as drained get none; a connection in mode tcp has its server from the beginning.
 * @param stoppingMs since the reload that replaced the worker
 */
export const countOnOldWorker = (
  all: readonly ServerRow[],
  key: ServiceKey,
  containers: readonly string[],
  stoppingMs: number
): Connections => {
  const rows = rowsOf(all, key, containers)
  const attached = countAttached(rows)
  if (stoppingMs >= lastRequestMs) return attached
  const frontends = new Set(
    rows.filter((row) => row.state === 'ready' && row.mode === 'http').map((row) => frontendOf(row.proxy))
  )
  const idle = [...frontends].reduce((total, name) => total + countIdle(all, name), 0)
  return { ...attached, requests: attached.requests + idle }
}

/** Clients of a frontend without a request under way. Streams of HTTP/2 share a client: there may be fewer. */
const countIdle = (all: readonly ServerRow[], frontend: string): number => {
  const clients = all.find((row) => row.kind === 'frontend' && row.proxy === frontend)?.sessions ?? 0
  const busy = all
    .filter((row) => row.kind === 'server' && frontendOf(row.proxy) === frontend)
    .reduce((total, row) => total + row.sessions, 0)
  return Math.max(0, clients - busy)
}

/** For how long each old worker has been stopping: since the one after it began. */
export const stoppingTimes = (processes: readonly ProxyProcess[]): { pid: number; stoppingMs: number }[] => {
  const workers = processes.filter(({ kind }) => kind === 'worker').sort((a, b) => a.reloads - b.reloads)
  return workers.flatMap(({ pid, reloads }, index) =>
    reloads === 0 ? [] : [{ pid, stoppingMs: workers[index - 1]?.uptimeMs ?? 0 }]
  )
}
