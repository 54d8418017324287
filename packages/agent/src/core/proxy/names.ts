// What HAProxy's proxies and servers are called: names that say what they are for in `show stat`, hold only the
// characters that HAProxy allows in a name, and lead back to the service. The configuration, the runtime calls and
// the reading of counters use these and make none of their own.
import type { RoutedPort, ServiceKey } from './routes.ts'

/** No label has a colon in it, and the address comes last: two services never share a name. */
const prefixOf = (key: ServiceKey): string => `${key.environment}:${key.service}:`

/** `staging:web:80`, or `staging:web:80:127.0.0.1` where the service file says the address. */
export const backendName = (key: ServiceKey, port: RoutedPort): string => prefixOf(key) + socketName(port)

/** Upgraded connections have a backend of their own, so that they are counted and closed apart from requests. */
export const upgradedName = (backend: string): string => `${backend}_up`

export const frontendName = (port: Pick<RoutedPort, 'hostIp' | 'published'>): string =>
  `port:${socketName(port)}`

const socketName = ({ hostIp, published }: Pick<RoutedPort, 'hostIp' | 'published'>): string =>
  hostIp === null ? String(published) : `${published}:${hostIp}`

/** Unique per container: a second one of the name is refused by HAProxy. 12 characters as Docker shows them. */
export const serverName = (containerId: string): string => `c${containerId.slice(0, 12)}`

export const isBackendOf = (key: ServiceKey, name: string): boolean => name.startsWith(prefixOf(key))

export const isUpgradedName = (name: string): boolean => name.endsWith('_up')

/** The frontend that leads to a backend, which may be one of an older configuration. */
export const frontendOf = (backend: string): string =>
  `port:${backend.replace(/_up$/, '').split(':').slice(2).join(':')}`
