// What monitoring is told: traffic of each service over all hosts, which proxies are up, how many agents are connected.
// Only services that were applied are told of, and no more than a monitoring system can be expected to hold.
import type { AgentId, ServiceTraffic } from '@longshore/protocol'
import type { Need } from '../core/access/permissions.ts'
import { addCounts, type Counts, type Figures, noCounts, sumFigures } from '../core/traffic/sum-traffic.ts'
import type { AgentRow, Reads } from '../ports.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import type { TrafficCounts } from './traffic-counts.ts'

export type ServiceMetrics = { environment: string; service: string } & Counts & {
    /** null: no connected host says anything of it now. */
    figures: Figures | null
  }
export type MetricsView = {
  agents: { environment: string; connected: number; enrolled: number }[]
  services: ServiceMetrics[]
  /** Of connected hosts that need one. */
  proxies: { environment: string; host: string; isUp: boolean }[]
  /** Services and proxies beyond the limit. */
  leftOut: number
}
export type Metrics = { collect(isReadable: (need: Need) => boolean): Promise<MetricsView> }

/** Series are kept for every name that ever was: a few hundred are usual, a hundred thousand bring a server down. */
const maxServices = 500
const maxProxies = 1000

export const createMetrics = (ports: {
  store: Reads
  hosts: Pick<HostKnowledge, 'isConnected' | 'freshInventoryOf'>
  counts: TrafficCounts
}): Metrics => {
  const { store, hosts, counts } = ports
  /** A host speaks for its own environment only, also after it was removed. */
  const environmentOf = new Map<AgentId, string>()
  return {
    collect: async (isReadable) => {
      const rows = (await store.agents()).filter(({ state }) => state === 'active')
      for (const { id, environment } of rows) environmentOf.set(id, environment)
      const readable = rows.filter(({ environment }) => isReadable(readAll(environment)))
      const specs = (await store.specs({})).filter(({ environment, service }) =>
        isReadable({ verb: 'read', environment, service })
      )
      const services = specs.flatMap((at) => measure(at, rows)).sort(byName)
      const proxies = readable.flatMap((row) => proxyOf(row, hosts)).sort(byName)
      return {
        agents: countAgents(readable, hosts),
        services: services.slice(0, maxServices),
        proxies: proxies.slice(0, maxProxies),
        leftOut: Math.max(0, services.length - maxServices) + Math.max(0, proxies.length - maxProxies)
      }
    }
  }

  function measure(
    { environment, service }: { environment: string; service: string },
    rows: readonly AgentRow[]
  ): ServiceMetrics[] {
    const own = [...counts.of(environment, service)].filter(([id]) => environmentOf.get(id) === environment)
    if (own.length === 0) return []
    const total = own.reduce((sum, [, one]) => addCounts(sum, one), noCounts)
    const fresh = rows
      .filter((row) => row.environment === environment)
      .flatMap(({ id }) => trafficOn(hosts, id, { environment, service }) ?? [])
    return [{ environment, service, ...total, figures: fresh.length === 0 ? null : sumFigures(fresh) }]
  }
}

/** What a host says of a service now; undefined: nothing that counts. */
export const trafficOn = (
  hosts: Pick<HostKnowledge, 'freshInventoryOf'>,
  agent: AgentId,
  { environment, service }: { environment: string; service: string }
): ServiceTraffic | undefined =>
  hosts
    .freshInventoryOf(agent)
    ?.traffic?.find((one) => one.environment === environment && one.service === service)

const readAll = (environment: string): Need => ({ verb: 'read', environment, service: '*' })

const proxyOf = (
  { id, environment, hostName: host }: AgentRow,
  hosts: Pick<HostKnowledge, 'freshInventoryOf'>
): MetricsView['proxies'] => {
  const proxy = hosts.freshInventoryOf(id)?.proxy
  return proxy === undefined ? [] : [{ environment, host, isUp: proxy.state === 'running' }]
}

const countAgents = (
  rows: readonly AgentRow[],
  hosts: Pick<HostKnowledge, 'isConnected'>
): MetricsView['agents'] =>
  [...new Set(rows.map((row) => row.environment))].sort().map((environment) => {
    const own = rows.filter((row) => row.environment === environment)
    return {
      environment,
      enrolled: own.length,
      connected: own.filter(({ id }) => hosts.isConnected(id)).length
    }
  })

type Named = { environment: string; service?: string; host?: string }
const byName = (a: Named, b: Named): number => (nameOf(a) < nameOf(b) ? -1 : 1)
const nameOf = ({ environment, service = '', host = '' }: Named): string => `${environment}/${service}${host}`
