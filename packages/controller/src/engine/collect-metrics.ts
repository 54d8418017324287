// What monitoring is told: traffic of each service over all hosts, which proxies are up, how each environment does, and
// what the controller counted of itself. No more than a monitoring system can be expected to hold.
import type { AgentId, ServiceTraffic } from '@longshore/protocol'
import type { Need } from '../core/access/permissions.ts'
import type { EnvironmentMetrics } from '../core/metrics/measure-environment.ts'
import { addCounts, type Counts, type Figures, noCounts, sumFigures } from '../core/traffic/sum-traffic.ts'
import type { AgentRow, Reads } from '../ports.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import { type EnvironmentPorts, measureEnvironments } from './measure-environments.ts'
import type { Meters, Reading } from './meters.ts'
import type { TrafficCounts } from './traffic-counts.ts'

export type ServiceMetrics = { environment: string; service: string } & Counts & {
    /** null: no connected host says anything of it now. */
    figures: Figures | null
  }
/** The controller's own. */
export type OwnMetrics = Reading & {
  notifications: { waiting: number; givenUp: number }
  /** When the first of the API tokens that were ever used ends; null: none does. */
  tokenExpiresAtMs: number | null
}
export type MetricsView = {
  environments: EnvironmentMetrics[]
  services: ServiceMetrics[]
  /** Of connected hosts that need one. */
  proxies: { environment: string; host: string; isUp: boolean }[]
  /** Environments, services and proxies beyond the limit. */
  leftOut: number
  /** null: not for whoever may not read everything. */
  own: OwnMetrics | null
}
export type Metrics = { collect(isReadable: (need: Need) => boolean): Promise<MetricsView> }

/** Series are kept for every name that ever was: a few hundred are usual, a hundred thousand bring a server down. */
const maxEnvironments = 200
const maxServices = 500
const maxProxies = 1000

export const createMetrics = (
  ports: EnvironmentPorts & { counts: TrafficCounts; meters: Pick<Meters, 'read'> }
): Metrics => {
  const { store, clock, hosts, counts, meters } = ports
  /** A host speaks for its own environment only, also after it was removed. */
  const environmentOf = new Map<AgentId, string>()
  return {
    collect: async (isReadable) => {
      const present = (await store.agents()).filter(({ state }) => state !== 'revoked')
      const rows = present.filter(({ state }) => state === 'active')
      for (const { id, environment } of rows) environmentOf.set(id, environment)
      const readable = present.filter(({ environment }) => isReadable(readAll(environment)))
      const specs = (await store.specs({})).filter(({ environment, service }) =>
        isReadable({ verb: 'read', environment, service })
      )
      const environments = [...new Set(readable.map(({ environment }) => environment))].sort()
      const services = specs.flatMap((at) => measure(at, rows)).sort(byName)
      const proxies = readable.flatMap((row) => proxyOf(row, hosts)).sort(byName)
      const told = environments.slice(0, maxEnvironments)
      return {
        environments: await measureEnvironments(ports, told, readable),
        services: services.slice(0, maxServices),
        proxies: proxies.slice(0, maxProxies),
        leftOut: [
          environments.length - told.length,
          services.length - maxServices,
          proxies.length - maxProxies
        ].reduce((sum, beyond) => sum + Math.max(0, beyond), 0),
        own: isReadable(readAll('*')) ? await collectOwn(store, meters, clock.nowMs()) : null
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

const collectOwn = async (store: Reads, meters: Pick<Meters, 'read'>, nowMs: number): Promise<OwnMetrics> => {
  const counts = await store.countNotifications()
  const countOf = (state: (typeof counts)[number]['state']): number =>
    counts.filter((one) => one.state === state).reduce((sum, { count }) => sum + count, 0)
  const inUse = (await store.apiTokens()).filter(
    ({ revokedAtMs, lastUsedAtMs }) => revokedAtMs === null && lastUsedAtMs !== null
  )
  const ends = inUse.flatMap(({ expiresAtMs }) =>
    expiresAtMs === null || expiresAtMs <= nowMs ? [] : expiresAtMs
  )
  return {
    ...meters.read(),
    notifications: { waiting: countOf('waiting'), givenUp: countOf('given-up') },
    tokenExpiresAtMs: ends.length === 0 ? null : Math.min(...ends)
  }
}

type Named = { environment: string; service?: string; host?: string }
const byName = (a: Named, b: Named): number => (nameOf(a) < nameOf(b) ? -1 : 1)
const nameOf = ({ environment, service = '', host = '' }: Named): string => `${environment}/${service}${host}`
