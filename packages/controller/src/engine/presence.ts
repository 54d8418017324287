// Who is connected, since when, and what did it last say of itself? Kept in memory and published as `agent`
// events. The row in the store is the fleet's; sockets are the gateway's.
import type { AgentId, Inventory } from '@longshore/protocol'
import type { AgentView } from '../api/schemas.ts'
import { noPresence, type Presence, viewAgent } from '../core/fleet/view-agent.ts'
import type { AgentRow, Clock, Publisher, Reads } from '../ports.ts'

export type Presences = {
  view(row: AgentRow): AgentView
  connected(agent: AgentId): void
  seen(agent: AgentId): void
  disconnected(agent: AgentId): void
  observed(agent: AgentId, inventory: Inventory): void
  forget(agent: AgentId): void
  /** Life sign of the agent since the controller started; null: none. */
  lastSeenAtMs(agent: AgentId): number | null
  /** Tells listeners how the agent is now. */
  announce(agent: AgentId): Promise<void>
}

export const createPresences = (ports: {
  store: Pick<Reads, 'agent'>
  clock: Clock
  publisher: Publisher
}): Presences => {
  const byAgent = new Map<AgentId, Presence>()
  const of = (agent: AgentId): Presence => byAgent.get(agent) ?? noPresence
  const put = (agent: AgentId, change: Partial<Presence>): void => {
    byAgent.set(agent, { ...of(agent), lastSeenAtMs: ports.clock.nowMs(), ...change })
  }
  const view = (row: AgentRow): AgentView => viewAgent(row, of(row.id))

  return {
    view,
    connected: (agent) => put(agent, { connectedSinceMs: ports.clock.nowMs() }),
    seen: (agent) => put(agent, {}),
    disconnected: (agent) => {
      byAgent.set(agent, { ...of(agent), connectedSinceMs: null })
    },
    observed: (agent, inventory) => put(agent, { inventory, inventoryAtMs: ports.clock.nowMs() }),
    forget: (agent) => {
      byAgent.delete(agent)
    },
    lastSeenAtMs: (agent) => of(agent).lastSeenAtMs,
    announce: async (agent) => {
      const row = await ports.store.agent(agent)
      if (row === undefined) return
      const at = new Date(ports.clock.nowMs()).toISOString()
      ports.publisher.publish({ type: 'agent', at, agent: view(row) })
    }
  }
}
