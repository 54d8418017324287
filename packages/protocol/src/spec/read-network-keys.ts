// Keys of a service about ports, networks and names.
import { pairPorts, parseExposed, parseHostIp, parsePorts, parseProtocol, parseSpan } from './parse-port.ts'
import {
  type Cursor,
  childrenOf,
  complain,
  fieldsOf,
  isNull,
  itemsOf,
  parseWith,
  readOneOf,
  readText,
  readTexts,
  ValueError
} from './read-value.ts'
import type { PortSpec, ServiceSpec } from './service-spec.ts'

export const portKeys = ['target', 'published', 'host_ip', 'protocol', 'mode'] as const
export const networkKeys = ['aliases'] as const

/** The same port said twice, as after a merge, counts once. */
export const readPorts = (cursor: Cursor): PortSpec[] => {
  const ports = new Map<string, PortSpec>()
  for (const item of itemsOf(cursor)) {
    const entries = item.node.kind === 'map' ? readLongPort(item) : parseWith(item, parsePorts, [])
    for (const port of entries) ports.set(JSON.stringify(port), port)
  }
  return [...ports.values()]
}

const readLongPort = (cursor: Cursor): PortSpec[] => {
  const fields = fieldsOf(cursor, portKeys)
  if (fields.target === undefined) {
    complain(cursor, 'a port needs a target', 'missing-key')
    return []
  }
  if (fields.mode !== undefined) readOneOf(fields.mode, ['ingress', 'host'])
  const target = parseWith(fields.target, parseSpan, { from: 1, to: 1 })
  const published = fields.published === undefined ? null : parseWith(fields.published, parseSpan, target)
  const hostIp = fields.host_ip === undefined ? null : parseWith(fields.host_ip, parseHostIp, '')
  const protocol = fields.protocol === undefined ? 'tcp' : parseWith(fields.protocol, parseProtocol, 'tcp')
  try {
    return pairPorts(target, published, hostIp, protocol)
  } catch (error) {
    if (!(error instanceof ValueError)) throw error
    complain(cursor, error.message, error.code)
    return []
  }
}

export const readExpose = (cursor: Cursor): string[] => [
  ...new Set(itemsOf(cursor).flatMap((item) => parseWith(item, parseExposed, [])))
]

/**
 * Networks of a service by their name on the host.
 * @param names name on the host, by the key of the top-level `networks`
 */
export const readNetworks = (cursor: Cursor, names: ReadonlyMap<string, string>): ServiceSpec['networks'] => {
  const keys =
    cursor.node.kind === 'map'
      ? [...childrenOf(cursor)]
      : itemsOf(cursor).map((item): [string, Cursor] => [readText(item), item])
  const networks = new Map<string, string[]>()
  for (const [key, item] of keys) {
    if (key === 'default' && !names.has(key)) {
      complain(
        item,
        'the network default belongs to docker compose; name a network of the host',
        'not-supported'
      )
    }
    const isBare = item.node.kind === 'scalar'
    const { aliases } = isBare ? {} : fieldsOf(item, networkKeys, refusedNetworkKeys)
    if (isBare && cursor.node.kind === 'map' && !isNull(item)) complain(item, 'expected a map', 'wrong-type')
    networks.set(names.get(key) ?? key, aliases === undefined ? [] : readTexts(aliases))
  }
  return [...networks].map(([name, aliases]) => ({ name, aliases }))
}

const noAddress = 'addresses of containers cannot be chosen'
const refusedNetworkKeys = {
  ipv4_address: noAddress,
  ipv6_address: noAddress,
  link_local_ips: noAddress,
  mac_address: noAddress,
  priority: 'networks are attached in the order in which they are listed',
  gw_priority: 'networks are attached in the order in which they are listed',
  driver_opts: 'options of a network driver are not supported',
  interface_name: 'names of interfaces are not supported'
}

/** @returns lines `name:address`, from a map or a list with `:` or `=` */
export const readExtraHosts = (cursor: Cursor): string[] => {
  if (cursor.node.kind !== 'map') return [...new Set(itemsOf(cursor).map(readHostLine))]
  const lines: string[] = []
  for (const [name, child] of childrenOf(cursor)) {
    const addresses = child.node.kind === 'list' ? itemsOf(child).map(readText) : [readText(child)]
    for (const address of addresses) lines.push(`${name}:${unbracket(address)}`)
  }
  return [...new Set(lines)]
}

const readHostLine = (cursor: Cursor): string =>
  parseWith(
    cursor,
    (text) => {
      const match = /^([^:=\s]+)[:=](\S+)$/.exec(text)
      if (match?.[1] === undefined) throw new ValueError('expected NAME:ADDRESS or NAME=ADDRESS')
      return `${match[1]}:${unbracket(match[2] ?? '')}`
    },
    ''
  )

const unbracket = (address: string): string => address.replace(/^\[(.*)\]$/, '$1')

/** `service:NAME` joins a container of the same Compose project, which has no meaning for one service. */
export const readNamespace = (cursor: Cursor): string =>
  parseWith(
    cursor,
    (text) => {
      if (text.startsWith('service:')) {
        throw new ValueError(
          'service:NAME is not supported; a service is deployed by itself',
          'not-supported'
        )
      }
      if (text === '') throw new ValueError('expected a mode like host')
      return text
    },
    ''
  )
