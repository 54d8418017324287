// How each environment does now, in one row of figures: its agents, the room on its hosts, what they are owed, its
// deployments in progress. Summed over hosts, so that a thousand of them are as many series as one.
import type { Inventory } from '@longshore/protocol'
import type { AgentRow, Clock, Reads } from '../ports.ts'
import { countMixed } from './find-mixed.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import type { RunningDeployment, RunningDeployments } from './running-deployments.ts'

/** Milliseconds, bytes; null: there is nothing to measure. */
export type EnvironmentMetrics = {
  environment: string
  enrolled: number
  connected: number
  held: number
  /** Were connected once, and are not. */
  silent: number
  silentLongestMs: number | null
  /** Of connected hosts with a fresh inventory, as all that follow. */
  enginesDown: number
  disksLow: number
  /** Free part of the fullest disk, 0 to 1. */
  diskFreeShareMin: number | null
  memoryFreeBytesMin: number | null
  /** Load of the last minute for each processor of the busiest host. */
  loadPerCpuMax: number | null
  owed: number
  accepted: number
  owedLongestMs: number | null
  running: number
  paused: number
  /** Of those that are not paused. */
  runningLongestMs: number | null
  stillLongestMs: number | null
  mixedServices: number
}
export type EnvironmentPorts = {
  store: Reads
  clock: Pick<Clock, 'nowMs'>
  hosts: HostKnowledge
  running: Pick<RunningDeployments, 'list'>
}

const lowDiskShare = 0.1

/** @param agents of the environments, all that are not revoked */
export const measureEnvironments = async (
  { store, clock, hosts, running }: EnvironmentPorts,
  environments: readonly string[],
  agents: readonly AgentRow[]
): Promise<EnvironmentMetrics[]> => {
  const nowMs = clock.nowMs()
  const outbox = await store.countCommands()
  const deployments = running.list()
  const rows: EnvironmentMetrics[] = []
  for (const environment of environments) {
    const own = agents.filter((row) => row.environment === environment)
    const active = own.filter(({ state }) => state === 'active')
    const owed = outbox.find((one) => one.environment === environment && one.state === 'owed')
    const accepted = outbox.find((one) => one.environment === environment && one.state === 'accepted')
    rows.push({
      environment,
      enrolled: active.length,
      held: own.length - active.length,
      ...measureSessions(active, hosts, nowMs),
      ...measureHosts(active, hosts),
      owed: owed?.count ?? 0,
      accepted: accepted?.count ?? 0,
      owedLongestMs: owed === undefined ? null : Math.max(0, nowMs - owed.oldestAtMs),
      ...measureDeployments(
        deployments.filter((one) => one.environment === environment),
        nowMs
      ),
      mixedServices: await countMixed(store, hosts, active, environment)
    })
  }
  return rows
}

const measureSessions = (active: readonly AgentRow[], hosts: HostKnowledge, nowMs: number) => {
  const away = active.filter(({ id }) => !hosts.isConnected(id))
  const silentForMs = away.flatMap(({ lastSeenAtMs }) =>
    lastSeenAtMs === null ? [] : Math.max(0, nowMs - lastSeenAtMs)
  )
  return {
    connected: active.length - away.length,
    silent: silentForMs.length,
    silentLongestMs: highest(silentForMs)
  }
}

const measureHosts = (active: readonly AgentRow[], hosts: HostKnowledge) => {
  const known = active.flatMap(({ id, facts }) => {
    const inventory = hosts.freshInventoryOf(id)
    return inventory === undefined ? [] : [{ inventory, cpus: facts?.cpus ?? 0 }]
  })
  const free = known.flatMap(({ inventory }) => freeShareOf(inventory) ?? [])
  return {
    enginesDown: known.filter(({ inventory }) => !inventory.isEngineReachable).length,
    disksLow: free.filter((share) => share < lowDiskShare).length,
    diskFreeShareMin: lowest(free),
    memoryFreeBytesMin: lowest(known.flatMap(({ inventory }) => inventory.memoryFreeBytes ?? [])),
    loadPerCpuMax: highest(
      known.flatMap(({ inventory, cpus }) =>
        inventory.load === null || cpus === 0 ? [] : inventory.load / cpus
      )
    )
  }
}

const freeShareOf = ({ diskFreeBytes, diskTotalBytes }: Inventory): number | null =>
  diskFreeBytes === null || diskTotalBytes === null || diskTotalBytes === 0
    ? null
    : diskFreeBytes / diskTotalBytes

const measureDeployments = (running: readonly RunningDeployment[], nowMs: number) => {
  const going = running.filter(({ phase }) => phase !== 'paused')
  return {
    running: going.length,
    paused: running.length - going.length,
    runningLongestMs: highest(going.map(({ requestedAtMs }) => Math.max(0, nowMs - requestedAtMs))),
    stillLongestMs: highest(going.map(({ stillMs }) => stillMs))
  }
}

const highest = (values: readonly number[]): number | null =>
  values.reduce<number | null>((a, b) => (a === null ? b : Math.max(a, b)), null)
const lowest = (values: readonly number[]): number | null =>
  values.reduce<number | null>((a, b) => (a === null ? b : Math.min(a, b)), null)
