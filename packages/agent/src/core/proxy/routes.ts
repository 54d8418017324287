// What HAProxy on the host is to do, as plain data: which service's containers get the traffic of which port.
// The proxy's configuration and its runtime calls are made from this; it is on disk before either changes.
import type { EnvironmentName, RoutingSpec, ServiceName } from '@longshore/protocol'

export type ServiceKey = { environment: EnvironmentName; service: ServiceName }

/** A published TCP port; `hostIp` null: all addresses of the host, IPv4 and IPv6. */
export type RoutedPort = { hostIp: string | null; published: number; target: number }

/** A container by Docker's full id, with its address on the agent's own network. */
export type RoutedContainer = { id: string; address: string }

/** All that HAProxy does for one service. Every container listens on every target port. */
export type ServiceRoute = ServiceKey & {
  ports: RoutedPort[]
  routing: RoutingSpec
  /** New connections and requests go to these, in turn. Empty: the ports are held, and answered 503. */
  containers: RoutedContainer[]
}
