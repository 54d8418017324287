// What does the API say about an agent? Joins its stored row with what is known only while it is connected.
import type { Inventory } from '@longshore/protocol'
import type { AgentState, AgentView } from '../../api/schemas.ts'
import type { AgentRow } from '../../ports.ts'
import { judgeSkew } from './judge-skew.ts'

/** Kept in memory: nothing needs it to survive the controller. */
export type Presence = {
  /** null: not connected. */
  connectedSinceMs: number | null
  /** Last life sign since the controller started; null: none. */
  lastSeenAtMs: number | null
  inventory: Inventory | null
  inventoryAtMs: number | null
}

export const noPresence: Presence = {
  connectedSinceMs: null,
  lastSeenAtMs: null,
  inventory: null,
  inventoryAtMs: null
}

export const viewAgent = (row: AgentRow, presence: Presence): AgentView => {
  const state = stateOf(row, presence)
  const lastSeenAtMs = latest(row.lastSeenAtMs, presence.lastSeenAtMs)
  const reason = reasonOf(row, state, lastSeenAtMs)
  return {
    id: row.id,
    name: row.hostName,
    environment: row.environment,
    state,
    ...(reason === undefined ? {} : { reason }),
    labels: row.labels,
    agentVersion: row.agentVersion,
    versionSkew: row.agentVersion === null ? null : judgeSkew(row.agentVersion),
    lastSeenAtMs,
    lastSeenAt: lastSeenAtMs === null ? null : new Date(lastSeenAtMs).toISOString(),
    connectedSinceMs: presence.connectedSinceMs,
    enrolledAtMs: row.enrolledAtMs,
    clockSkewMs: row.clockSkewMs,
    facts: row.facts,
    policy: row.policy,
    inventory: presence.inventory,
    inventoryAtMs: presence.inventoryAtMs
  }
}

const stateOf = (row: AgentRow, presence: Presence): AgentState => {
  if (row.state !== 'active') return row.state
  return presence.connectedSinceMs === null ? 'silent' : 'connected'
}

const reasonOf = (row: AgentRow, state: AgentState, lastSeenAtMs: number | null): string | undefined => {
  if (state === 'connected') return undefined
  if (state !== 'silent') return row.stateReason ?? undefined
  return lastSeenAtMs === null
    ? 'has never been connected: look at the log of longshore-agent on the host'
    : 'is not connected: look at the log of longshore-agent on the host, and at the network between'
}

const latest = (a: number | null, b: number | null): number | null => {
  if (a === null || b === null) return a ?? b
  return Math.max(a, b)
}
