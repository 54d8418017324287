// Requests and errors since this controller started, in memory only: whoever scrapes counters knows that they begin
// anew with a process. What an agent had counted before the controller heard of it first is no part of them.
import type { AgentId, Inventory } from '@longshore/protocol'
import { addCounts, type Counts, countsSince, noCounts } from '../core/traffic/sum-traffic.ts'

export type TrafficCounts = {
  observed(agent: AgentId, inventory: Inventory): void
  /** What each agent counted of a service; agents that are gone stay, since a counter never goes back. */
  of(environment: string, service: string): ReadonlyMap<AgentId, Counts>
}

/** Services come and go on a host over the life of a controller; one that invents names must not fill its memory. */
const maxServicesOfAgent = 5000

type Counted = { latest: Counts; total: Counts }

export const createTrafficCounts = (): TrafficCounts => {
  /** Of how many services each has told. */
  const heard = new Map<AgentId, number>()
  const services = new Map<string, Map<AgentId, Counted>>()
  return {
    observed: (agent, { traffic = [] }) => {
      const isFirst = !heard.has(agent)
      let known = heard.get(agent) ?? 0
      for (const { environment, service, requests, errors } of traffic) {
        const key = keyOf(environment, service)
        const counted = services.get(key) ?? new Map<AgentId, Counted>()
        const before = counted.get(agent)
        if (before === undefined && known >= maxServicesOfAgent) continue
        if (before === undefined) known += 1
        services.set(key, counted)
        const latest = { requests, errors }
        const since = isFirst ? noCounts : countsSince(before?.latest, latest)
        counted.set(agent, { latest, total: addCounts(before?.total ?? noCounts, since) })
      }
      heard.set(agent, known)
    },
    of: (environment, service) =>
      new Map([...(services.get(keyOf(environment, service)) ?? [])].map(([id, { total }]) => [id, total]))
  }
}

const keyOf = (environment: string, service: string): string => `${environment}/${service}`
