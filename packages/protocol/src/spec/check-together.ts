// The rules of a service that concern several keys at once: what contradicts what, and which key needs which.
import type { longshoreKeys } from './read-rollout-keys.ts'
import { routingKeys } from './read-routing-keys.ts'
import { type Cursor, childrenOf, complain, isNull } from './read-value.ts'
import type { ServiceSpec } from './service-spec.ts'
import type { SpecProblemCode } from './spec-error.ts'

/** Adds a problem at the value of a key, or where the service begins if the key is not there. */
type Conflict = (key: string, message: string) => void

/** @param children of the service's map, by key */
export const checkTogether = (
  cursor: Cursor,
  children: ReadonlyMap<string, Cursor>,
  spec: ServiceSpec
): void => {
  const conflict: Conflict = (key, message) => complain(children.get(key) ?? cursor, message, 'conflict')
  checkNetwork(conflict, spec)
  checkReplicas(conflict, spec)
  checkPlaces(conflict, spec)
  checkRouting(conflict, children.get('x-longshore'), spec)
}

const checkNetwork = (conflict: Conflict, { networkMode, networks, ports }: ServiceSpec): void => {
  if (networkMode !== null && networks.length > 0)
    conflict('network_mode', 'network_mode and networks exclude each other')
  if (hasNoOwnAddress(networkMode) && ports.length > 0)
    conflict('ports', `no port can be published with network_mode ${networkMode}`)
}

const hasNoOwnAddress = (networkMode: string | null): boolean =>
  networkMode === 'host' || networkMode === 'none' || networkMode?.startsWith('container:') === true

const checkReplicas = (conflict: Conflict, { replicas, ports, containerName, update }: ServiceSpec): void => {
  if (replicas <= 1) return
  if (update.order === 'stop-first' && ports.some(({ published }) => published !== null)) {
    const remedy = 'use deploy.update_config.order: start-first'
    conflict('ports', `${replicas} replicas on a host cannot share one host port; ${remedy}`)
  }
  if (containerName !== null)
    conflict('container_name', `${replicas} replicas on a host cannot share one container name`)
}

const checkPlaces = (conflict: Conflict, { ports }: ServiceSpec): void => {
  const places = new Set<string>()
  for (const { hostIp, published, protocol } of ports) {
    if (published === null) continue
    const place = `${hostIp ?? ''}:${published}/${protocol}`
    if (places.has(place)) conflict('ports', `the host port ${published} is published twice`)
    places.add(place)
  }
}

type LongshoreKey = (typeof longshoreKeys)[number]
/** `x-longshore` and its keys that have a value. */
type Longshore = ReadonlyMap<string, Cursor>

const checkRouting = (conflict: Conflict, longshore: Cursor | undefined, spec: ServiceSpec): void => {
  const given: Longshore =
    longshore === undefined
      ? new Map()
      : new Map([...childrenOf(longshore)].filter(([, child]) => !isNull(child)))
  if (spec.routing === null) {
    refuseAll(given, startFirstKeys, (key) => `${key} needs deploy.update_config.order: start-first`)
    return
  }
  checkStartFirst(conflict, spec)
  if (spec.ports.length === 0)
    refuseAll(given, trafficKeys, (key) => `${key} is about traffic, and the service publishes no port`)
  if (spec.routing.mode === 'tcp')
    refuseAll(given, httpKeys, (key) => `${key} needs mode: http; in mode: tcp nobody reads the requests`)
  if (spec.update.canary === null)
    refuseAll(
      given,
      ['canary_max_error_ratio'],
      (key) => `${key} needs canary: it is about its hosts`,
      'missing-key'
    )
}

const startFirstKeys: readonly LongshoreKey[] = [...routingKeys, 'canary_max_error_ratio']
const trafficKeys = startFirstKeys.filter((key) => key !== 'keep')
const httpKeys: readonly LongshoreKey[] = ['hosts', 'pooling']

const refuseAll = (
  given: Longshore,
  keys: readonly LongshoreKey[],
  messageOf: (key: string) => string,
  code: SpecProblemCode = 'conflict'
): void => {
  for (const key of keys) {
    const cursor = given.get(key)
    if (cursor !== undefined) complain(cursor, messageOf(key), code)
  }
}

/** HAProxy holds the port and reaches each container by its own address. */
const checkStartFirst = (conflict: Conflict, { networkMode, ports }: ServiceSpec): void => {
  if (hasNoOwnAddress(networkMode))
    conflict(
      'network_mode',
      `order: start-first gives each container its own address, which network_mode ${networkMode} has not`
    )
  for (const { protocol, published, target } of ports) {
    if (protocol === 'udp')
      conflict(
        'ports',
        `order: start-first cannot bring UDP traffic (container port ${target}); use stop-first`
      )
    else if (published === null)
      conflict(
        'ports',
        `order: start-first needs a fixed host port for container port ${target}: HOST:${target}`
      )
  }
}
