// What is known of each host right now, in memory only: connected or not, its latest inventory, how often its
// containers were restarted lately, and from when on its inventory counts again after a run.
import type { AgentId, Inventory } from '@longshore/protocol'
import { crashLoops, noRestarts, noteRestarts, type RestartHistory } from '../core/targets/count-restarts.ts'
import type { AgentLink, Clock } from '../ports.ts'

export type HostKnowledge = {
  isConnected(agent: AgentId): boolean
  inventoryOf(agent: AgentId): Inventory | undefined
  /** What it says counts as how it is now: it is connected, and told its inventory lately. */
  freshInventoryOf(agent: AgentId): Inventory | undefined
  /** Restarts of the containers that crash again and again, by id. */
  crashLoopsOf(agent: AgentId): ReadonlyMap<string, number>
}
export type HostMemory = HostKnowledge & {
  /** @returns whether it tells anything new of the containers */
  observed(agent: AgentId, inventory: Inventory): boolean
  /** A run has ended there: an inventory from before may still be on its way. */
  reported(agent: AgentId): void
  /** How long to wait until what the host said is as new as its last run; 0: it is. */
  lagMs(agent: AgentId): number
}

/** The agent tells what Docker's events changed within 250 ms, and gives listing its containers 2 s. */
const inventoryLagMs = 2_500
/** Inventories come once a minute; two may be late. */
const freshForMs = 3 * 60_000

export const createHostMemory = ({
  steadyClock,
  link
}: {
  steadyClock: Clock
  link: Pick<AgentLink, 'isConnected'>
}): HostMemory => {
  const inventories = new Map<AgentId, Inventory>()
  const restarts = new Map<AgentId, RestartHistory>()
  const reports = new Map<AgentId, number>()
  const observedAtMs = new Map<AgentId, number>()
  return {
    isConnected: (agent) => link.isConnected(agent),
    inventoryOf: (agent) => inventories.get(agent),
    freshInventoryOf: (agent) => {
      const ageMs = steadyClock.nowMs() - (observedAtMs.get(agent) ?? Number.NEGATIVE_INFINITY)
      return link.isConnected(agent) && ageMs <= freshForMs ? inventories.get(agent) : undefined
    },
    crashLoopsOf: (agent) => crashLoops(restarts.get(agent) ?? noRestarts, steadyClock.nowMs()),
    observed: (agent, inventory) => {
      const before = inventories.get(agent)
      inventories.set(agent, inventory)
      observedAtMs.set(agent, steadyClock.nowMs())
      restarts.set(agent, noteRestarts(restarts.get(agent) ?? noRestarts, inventory, steadyClock.nowMs()))
      return tellsNews(before, inventory)
    },
    reported: (agent) => {
      reports.set(agent, steadyClock.nowMs())
    },
    lagMs: (agent) => {
      const reportedAtMs = reports.get(agent) ?? Number.NEGATIVE_INFINITY
      return Math.max(0, reportedAtMs + inventoryLagMs - steadyClock.nowMs())
    }
  }
}

const tellsNews = (before: Inventory | undefined, after: Inventory): boolean =>
  before === undefined ||
  before.isEngineReachable !== after.isEngineReachable ||
  JSON.stringify(before.containers) !== JSON.stringify(after.containers)
