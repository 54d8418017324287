// What of a service HAProxy brings traffic to, as data: from a spec, from a release's record, from what HAProxy is told
// now. Which containers answer follows from it; moving the traffic is left to the plans.
import type { PortSpec, ServiceSpec } from '@longshore/protocol'
import {
  isUp,
  type Observation,
  type OwnContainer,
  type Ownership,
  ownContainers,
  type RoutedRelease,
  type SeenContainer
} from './observation.ts'
import type { RoutedPort, ServiceKey } from './proxy/routes.ts'
import { byId, type ContainerRef, type Routed, type WantedRoute } from './steps.ts'

/** @returns null for what Docker publishes itself, and for a service without ports, which needs no traffic brought */
export const routedReleaseOf = (spec: ServiceSpec): RoutedRelease | null => {
  if (spec.routing === null || spec.ports.length === 0) return null
  const ports = spec.ports.flatMap(({ published, hostIp, target }): RoutedPort[] =>
    published === null ? [] : [{ hostIp, published, target }]
  )
  return { ports, routing: spec.routing, drainTimeoutMs: spec.drainTimeoutMs }
}

/** As the steps name the service. */
export const serviceKeyOf = ({ environment, service }: ServiceKey): ServiceKey => ({ environment, service })

export const wantedRoute = (of: ServiceKey, { ports, routing }: RoutedRelease): WantedRoute => ({
  ...serviceKeyOf(of),
  ports,
  routing
})

export const portSpecsOf = (ports: readonly RoutedPort[]): PortSpec[] =>
  ports.map((port) => ({ ...port, protocol: 'tcp' }))

/** How traffic is brought to these containers now; null: HAProxy has nothing to do with those that are up. */
export const routedNow = (
  of: ServiceKey,
  containers: readonly SeenContainer[],
  seen: Observation
): { to: Routed; drainTimeoutMs: number; ids: Set<string> } | null => {
  const route = seen.traffic?.route ?? null
  const reachable = containers.filter((one) => isUp(one) && one.ownAddress !== null)
  const routed = reachable.filter((one) => route?.containers.some(({ id }) => id === one.id))
  const found = routed.length > 0 ? routed : reachable
  const record = seen.releases.find((one) => one.release === found[0]?.owner?.release)
  const wanted =
    route === null
      ? record?.routed && wantedRoute(of, record.routed)
      : { ...wantedRoute(of, { ...route, drainTimeoutMs: 0 }) }
  if (!wanted || found.length === 0) return null
  return {
    to: { route: wanted, containers: found.map((one): ContainerRef => byId(one)) },
    drainTimeoutMs: record?.routed?.drainTimeoutMs ?? defaultDrainMs,
    ids: new Set(found.map(({ id }) => id))
  }
}

/** Where the journal does not say how long a release is drained. */
const defaultDrainMs = 30_000
/** For containers that are given up: what they have begun they may end, but nobody waits long for it. */
export const briefDrainMs = 5_000

type OfService = Pick<Ownership, 'installation' | 'environment' | 'service'>

/** The service's containers that answer, newest first: of those that are up the ones with traffic. */
export const answeringContainers = (seen: Observation, of: OfService): OwnContainer[] => {
  const up = ownContainers(seen.containers, of).filter(isUp)
  const routed = up.filter((one) => seen.traffic?.route?.containers.some(({ id }) => id === one.id))
  return routed.length > 0 ? routed : up
}

/** Whether Docker publishes the port for the container. */
export const publishesPort = (container: SeenContainer, port: PortSpec): boolean =>
  container.publishes.some(
    (held) =>
      held.port === port.published &&
      held.protocol === port.protocol &&
      (isAnyAddress(held.hostIp) || isAnyAddress(port.hostIp) || held.hostIp === port.hostIp)
  )

const isAnyAddress = (address: string | null): boolean =>
  address === null || address === '' || address === '0.0.0.0' || address === '::'
