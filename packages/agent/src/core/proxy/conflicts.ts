// Whether services can have their ports from one HAProxy: which port is wanted twice, and what to change. HAProxy
// itself would take most of these and give each service a part of the traffic.
import type { RoutedPort, ServiceKey, ServiceRoute } from './routes.ts'

type PortClaim = ServiceKey & Pick<ServiceRoute, 'ports' | 'routing'>

/** @returns for people, one sentence each: why the service cannot have its ports beside the others. */
export const findPortConflicts = (wanted: PortClaim, others: readonly PortClaim[]): string[] => [
  ...wanted.ports.flatMap((port, index) => clashWithin(wanted, port, wanted.ports.slice(index + 1))),
  ...others
    .filter((other) => !isSameService(other, wanted))
    .flatMap((other) => wanted.ports.flatMap((port) => clashBetween(wanted, port, other)))
]

export const isSameService = (a: ServiceKey, b: ServiceKey): boolean =>
  a.environment === b.environment && a.service === b.service

/** Same number, and an address that the other one covers. */
const doOverlap = (a: RoutedPort, b: RoutedPort): boolean =>
  a.published === b.published && doAddressesOverlap(a.hostIp, b.hostIp)

/** Whether a listener on the one address is in the way of one on the other. */
export const doAddressesOverlap = (a: string | null, b: string | null): boolean =>
  a === b || isAny(a) || isAny(b)

const isAny = (hostIp: string | null): boolean => hostIp === null || hostIp === '0.0.0.0' || hostIp === '::'

const clashWithin = (wanted: PortClaim, port: RoutedPort, rest: RoutedPort[]): string[] =>
  rest
    .filter((other) => doOverlap(port, other))
    .map(() => `${wanted.service} publishes port ${port.published} twice`)

const clashBetween = (wanted: PortClaim, port: RoutedPort, other: PortClaim): string[] => {
  const held = other.ports.find((one) => doOverlap(port, one))
  if (held === undefined) return []
  const who = `port ${port.published} is served for ${other.service} of ${other.environment}`
  if (held.hostIp !== port.hostIp) return [`${who} on another address; give both the same address, or none`]
  return clashOnPort(wanted, other).map((why) => `${who}, ${why}`)
}

const clashOnPort = (wanted: PortClaim, other: PortClaim): string[] => {
  const [ours, theirs] = [wanted.routing, other.routing]
  if (ours.mode !== theirs.mode) return [`in mode ${theirs.mode}; this service wants mode ${ours.mode}`]
  if (ours.mode === 'tcp') return ['and tcp has no names by which services could share it']
  if (ours.hosts.length === 0 || theirs.hosts.length === 0)
    return ['and is shared only by services that each name x-longshore.hosts']
  const twice = ours.hosts.filter((host) => theirs.hosts.includes(host))
  if (twice.length > 0) return [`which names the host ${twice.join(', ')} as well`]
  if ((ours.tls.length === 0) !== (theirs.tls.length === 0))
    return [ours.tls.length === 0 ? 'with TLS; this service has none' : 'without TLS; this service has it']
  return []
}
