// How an environment does now, in one row of figures: its agents, the room on its hosts, what they are owed, its
// deployments in progress. Summed over hosts, so that a thousand of them are as many series as one.
import type { Inventory } from '@longshore/protocol'
import type { AgentRow, CommandCount, DeploymentRow } from '../../ports.ts'

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
/** `inventory`: as it is now; undefined: it is not connected, or has said nothing lately. */
export type MeasuredAgent = Pick<AgentRow, 'state' | 'lastSeenAtMs' | 'facts'> & {
  isConnected: boolean
  inventory: Inventory | undefined
}
export type MeasuredDeployment = Pick<DeploymentRow, 'phase' | 'requestedAtMs'> & { stillMs: number }
/** All of one environment. */
export type EnvironmentNow = {
  environment: string
  nowMs: number
  /** That are not revoked. */
  agents: readonly MeasuredAgent[]
  commands: readonly Omit<CommandCount, 'environment'>[]
  deployments: readonly MeasuredDeployment[]
  mixedServices: number
}

const lowDiskShare = 0.1

export const measureEnvironment = (now: EnvironmentNow): EnvironmentMetrics => {
  const { environment, nowMs, agents, commands, deployments, mixedServices } = now
  const active = agents.filter(({ state }) => state === 'active')
  const owed = commands.find(({ state }) => state === 'owed')
  const accepted = commands.find(({ state }) => state === 'accepted')
  return {
    environment,
    enrolled: active.length,
    held: agents.length - active.length,
    ...measureSessions(active, nowMs),
    ...measureHosts(active),
    owed: owed?.count ?? 0,
    accepted: accepted?.count ?? 0,
    owedLongestMs: owed === undefined ? null : Math.max(0, nowMs - owed.oldestAtMs),
    ...measureDeployments(deployments, nowMs),
    mixedServices
  }
}

const measureSessions = (active: readonly MeasuredAgent[], nowMs: number) => {
  const away = active.filter(({ isConnected }) => !isConnected)
  const silentForMs = away.flatMap(({ lastSeenAtMs }) =>
    lastSeenAtMs === null ? [] : Math.max(0, nowMs - lastSeenAtMs)
  )
  return {
    connected: active.length - away.length,
    silent: silentForMs.length,
    silentLongestMs: highest(silentForMs)
  }
}

const measureHosts = (active: readonly MeasuredAgent[]) => {
  const known = active.flatMap(({ inventory, facts }) =>
    inventory === undefined ? [] : [{ inventory, cpus: facts?.cpus ?? 0 }]
  )
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

const measureDeployments = (running: readonly MeasuredDeployment[], nowMs: number) => {
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
