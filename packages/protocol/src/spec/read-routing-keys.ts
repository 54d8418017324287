// Keys of `x-longshore` that say how HAProxy on the host brings traffic to a `start-first` service. Which other keys
// they need or exclude stands in check-together.ts.
import {
  type Cursor,
  complain,
  type Fields,
  fieldsOf,
  itemsOf,
  itemsOrOne,
  parseWith,
  readBoolean,
  readOneOf,
  ValueError
} from './read-value.ts'
import type { RoutingSpec } from './service-spec.ts'

export const routingKeys = ['mode', 'hosts', 'tls', 'proxy_protocol', 'keep', 'pooling'] as const
export const tlsKeys = ['certificate', 'key'] as const

export const routingDefaults: RoutingSpec = {
  mode: 'http',
  hosts: [],
  tls: [],
  hasProxyProtocol: false,
  isPooled: false,
  keep: 'running'
}

export const readRouting = (fields: Fields<(typeof routingKeys)[number]>): RoutingSpec => {
  if (fields.proxy_protocol !== undefined) readOneOf(fields.proxy_protocol, ['v2'])
  return {
    ...routingDefaults,
    ...(fields.mode && { mode: readOneOf(fields.mode, ['http', 'tcp']) }),
    ...(fields.hosts && { hosts: readHosts(fields.hosts) }),
    ...(fields.tls && { tls: readTls(fields.tls) }),
    ...(fields.proxy_protocol && { hasProxyProtocol: true }),
    ...(fields.pooling && { isPooled: readBoolean(fields.pooling) }),
    ...(fields.keep && { keep: readOneOf(fields.keep, ['running', 'stopped']) })
  }
}

/** Names in a Host header do not tell upper from lower case; the same one said twice, as after a merge, counts once. */
const readHosts = (cursor: Cursor): string[] => [
  ...new Set(itemsOrOne(cursor).map((item) => parseWith(item, parseHostName, '-')))
]

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** @throws ValueError */
const parseHostName = (text: string): string => {
  const name = text.toLowerCase()
  if (/:\d+$/.test(name)) throw new ValueError('a host name stands here without its port')
  if (name.includes('*'))
    throw new ValueError('name every host: patterns with * are not supported', 'not-supported')
  if (name.length > 253 || !name.split('.').every((part) => label.test(part))) {
    throw new ValueError('expected a host name like api.example.com')
  }
  return name
}

/** One certificate, or a list of them: the client's name for the server chooses. */
const readTls = (cursor: Cursor): RoutingSpec['tls'] => {
  const tls = new Map<string, RoutingSpec['tls'][number]>()
  for (const item of cursor.node.kind === 'map' ? [cursor] : itemsOf(cursor)) {
    const { certificate, key } = fieldsOf(item, tlsKeys)
    if (certificate === undefined) {
      complain(item, 'tls needs a certificate', 'missing-key')
      continue
    }
    const path = parseWith(certificate, parseFile, '')
    const one = { certificate: path, key: key === undefined ? null : parseWith(key, parseFile, '') }
    const before = tls.get(path)
    if (before !== undefined && before.key !== one.key) {
      complain(item, `the certificate ${path} is there twice, with different keys`, 'conflict')
    }
    tls.set(path, one)
  }
  return [...tls.values()]
}

/** The agent reads it on the host; a folder, or a name that HAProxy's configuration could not hold, is none. */
const parseFile = (text: string): string => {
  if (!text.startsWith('/')) throw new ValueError('expected an absolute path of the host', 'relative-path')
  if (/^(\/[A-Za-z0-9._@+=,~-]+)+$/.test(text)) return text
  throw new ValueError('expected the path of a file, of letters, digits and . _ @ + = , ~ -')
}
