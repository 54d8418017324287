// Which backends HAProxy has for a service, and which servers are in them: what the configuration file says and what
// the runtime calls bring about are both made from this.
import { backendName, serverName, upgradedName } from './names.ts'
import type { ServiceRoute } from './routes.ts'

export type WantedServer = { name: string; address: string }

export type WantedBackend = {
  name: string
  mode: 'http' | 'tcp'
  isPooled: boolean
  /** What every server line says after the address, in the file and in `add server` alike. */
  serverOptions: string
  servers: WantedServer[]
}

/** Each published port has one; in mode http a twin for upgraded connections. */
export const wantedBackends = (route: ServiceRoute): WantedBackend[] =>
  route.ports.flatMap((port) => {
    const { mode, isPooled } = route.routing
    const name = backendName(route, port)
    const servers = route.containers.map(({ id, address }) => ({
      name: serverName(id),
      address: writeAddress(address, port.target)
    }))
    const backend = { name, mode, isPooled: isPooled && mode === 'http', servers }
    const serverOptions = optionsOf(route)
    const twin = { ...backend, name: upgradedName(name), isPooled: false, serverOptions: plainOptions(route) }
    return mode === 'http' ? [{ ...backend, serverOptions }, twin] : [{ ...backend, serverOptions }]
  })

/** As `show stat` writes it. */
const writeAddress = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

/** HAProxy 2.6 gives a server that was added at run time no pool unless told how large. */
const poolOptions = 'pool-max-conn 100 pool-purge-delay 1s'

const optionsOf = (route: ServiceRoute): string =>
  [plainOptions(route), route.routing.isPooled && route.routing.mode === 'http' ? poolOptions : '']
    .filter((part) => part !== '')
    .join(' ')

const plainOptions = (route: ServiceRoute): string => (route.routing.hasProxyProtocol ? 'send-proxy-v2' : '')
