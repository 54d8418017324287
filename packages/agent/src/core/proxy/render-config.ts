// HAProxy's configuration file, made from the routes. `renderShape` is the part of it that no runtime call can
// change: two configurations of one shape differ only in servers. docs/proxy.md says what each part is for.
import { type WantedBackend, wantedBackends } from './backends.ts'
import { backendName, frontendName, upgradedName } from './names.ts'
import type { RoutedPort, ServiceRoute } from './routes.ts'

export type ProxySettings = {
  /** The socket for `show stat` and the runtime calls. */
  adminSocket: string
  /** Whether the host has IPv6 at all; without it `::` cannot be bound. */
  hasIpv6: boolean
  /** Name of the account and the group that the workers give their rights up for; null: they keep those that they were started with. */
  user: string | null
  /** Where certificate and key of one entry of `tls` lie together. */
  pemOf: (tls: ServiceRoute['routing']['tls'][number]) => string
}

/** Longer than any upgraded connection may last (`timeout tunnel`): a reload cuts none. */
const lastResort = '24h'

/** @param shape told by `show info` of a HAProxy that runs this configuration */
export const renderConfig = (
  routes: readonly ServiceRoute[],
  settings: ProxySettings,
  shape: string
): string => render(routes, settings, shape, serverLines)

export const renderShape = (routes: readonly ServiceRoute[], settings: ProxySettings): string =>
  render(routes, settings, '', () => [])

/** What `show info` says as description. */
export const describeShape = (shape: string): string => `longshore ${shape}`

const render = (
  routes: readonly ServiceRoute[],
  settings: ProxySettings,
  shape: string,
  servers: (backend: WantedBackend) => string[]
): string => {
  const ordered = [...routes].sort((a, b) => compare(sortKey(a), sortKey(b)))
  const sections = [
    ['# Written by longshore-agent; what is changed here is lost at the next deployment.'],
    globalSection(settings, shape),
    ...defaults,
    ...frontends(ordered, settings),
    ...ordered.flatMap(wantedBackends).map((backend) => backendSection(backend, servers(backend)))
  ]
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

const sortKey = ({ environment, service }: ServiceRoute): string => `${environment}:${service}`
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const globalSection = (settings: ProxySettings, shape: string): string[] => [
  'global',
  `  description ${quote(describeShape(shape))}`,
  `  stats socket ${quote(settings.adminSocket)} mode 600 level admin expose-fd listeners`,
  '  stats timeout 10m',
  `  hard-stop-after ${lastResort}`,
  // maxconn follows from the limit of file descriptors; below an engine that limit can be a thousand million
  '  fd-hard-limit 1048576',
  '  ssl-default-bind-options ssl-min-ver TLSv1.2',
  ...(settings.user === null ? [] : [`  user ${quote(settings.user)}`, `  group ${quote(settings.user)}`])
]

/** `balance`: one of those that servers can be added to at run time. */
const defaults = [
  [
    'defaults http',
    '  mode http',
    '  balance roundrobin',
    '  option redispatch 1',
    '  retries 5',
    '  retry-on conn-failure',
    '  timeout connect 1s',
    '  timeout client 60s',
    '  timeout server 300s',
    '  timeout http-request 15s',
    '  timeout http-keep-alive 30s',
    `  timeout tunnel ${lastResort}`
  ],
  [
    'defaults tcp',
    '  mode tcp',
    '  balance roundrobin',
    '  option redispatch 1',
    '  retries 5',
    '  option clitcpka',
    '  option srvtcpka',
    '  timeout connect 1s',
    `  timeout client ${lastResort}`,
    `  timeout server ${lastResort}`
  ]
]

type Claim = { route: ServiceRoute; port: RoutedPort }

const frontends = (routes: readonly ServiceRoute[], settings: ProxySettings): string[][] => {
  const byName = new Map<string, Claim[]>()
  for (const route of routes) {
    for (const port of route.ports) {
      const name = frontendName(port)
      byName.set(name, [...(byName.get(name) ?? []), { route, port }])
    }
  }
  return [...byName]
    .sort(([a], [b]) => compare(a, b))
    .map(([name, claims]) => frontendSection(name, claims, settings))
}

const frontendSection = (name: string, claims: Claim[], settings: ProxySettings): string[] => {
  const [first] = claims
  if (first === undefined) return []
  const { mode } = first.route.routing
  const certificates = new Set(claims.flatMap(({ route }) => route.routing.tls.map(settings.pemOf)))
  return [
    `frontend ${quote(name)} from ${mode}`,
    `  bind ${bindAddress(first.port, settings)}${bindTls([...certificates], mode)}`,
    ...(mode === 'tcp' ? tcpRules(first) : httpRules(claims, certificates.size > 0))
  ]
}

/** `:::80 v4v6` as Docker does it: `:80` alone is IPv4 only. */
const bindAddress = ({ hostIp, published }: RoutedPort, { hasIpv6 }: ProxySettings): string => {
  if (hostIp === null) return hasIpv6 ? `:::${published} v4v6` : `*:${published}`
  return hostIp.includes(':') ? `[${hostIp}]:${published} v6only` : `${hostIp}:${published}`
}

const bindTls = (pems: string[], mode: 'http' | 'tcp'): string => {
  if (pems.length === 0) return ''
  const certificates = pems.sort(compare).map((pem) => ` crt ${quote(pem)}`)
  return ` ssl${certificates.join('')}${mode === 'http' ? ' alpn h2,http/1.1' : ''}`
}

const tcpRules = ({ route, port }: Claim): string[] => [
  `  default_backend ${quote(backendName(route, port))}`
]

const isUpgrade = '{ req.hdr(upgrade) -m found }'

const httpRules = (claims: Claim[], hasTls: boolean): string[] => [
  // a reload closes an idle connection with its next answer, never under a request on its way
  '  option idle-close-on-response',
  '  option forwardfor',
  ...(hasTls ? ['  http-request set-header X-Forwarded-Proto https'] : []),
  ...(isShared(claims) ? hostRules(claims) : onlyBackend(claims))
]

const isShared = (claims: Claim[]): boolean => claims.some(({ route }) => route.routing.hosts.length > 0)

const onlyBackend = (claims: Claim[]): string[] =>
  claims.flatMap(({ route, port }) => {
    const name = backendName(route, port)
    return [`  use_backend ${quote(upgradedName(name))} if ${isUpgrade}`, `  default_backend ${quote(name)}`]
  })

const hostRules = (claims: Claim[]): string[] => [
  '  http-request set-var(txn.host) req.hdr(host),field(1,:),lower',
  ...claims.flatMap(({ route, port }) => {
    const name = quote(`str(${backendName(route, port)})`)
    return chunk(route.routing.hosts.map(quote)).map(
      (hosts) => `  http-request set-var(txn.backend) ${name} if { var(txn.host) -m str -- ${hosts} }`
    )
  }),
  '  http-request return status 404 content-type text/plain string "no service of this host has that name\\n" unless { var(txn.backend) -m found }',
  `  use_backend %[var(txn.backend)]_up if ${isUpgrade}`,
  '  use_backend %[var(txn.backend)]'
]

/** A line of HAProxy holds 64 words and 2048 characters. */
const chunk = (words: string[]): string[] => {
  const lines: string[] = []
  let line: string[] = []
  for (const word of words) {
    if (line.length === 40 || line.join(' ').length + word.length > 1_000) {
      lines.push(line.join(' '))
      line = []
    }
    line.push(word)
  }
  return line.length === 0 ? lines : [...lines, line.join(' ')]
}

const backendSection = (backend: WantedBackend, servers: string[]): string[] => [
  `backend ${quote(backend.name)} from ${backend.mode}`,
  ...(backend.mode === 'tcp' ? [] : backendOptions(backend)),
  ...servers
]

/** One connection to the container for one request, unless pooled: none is closed just as a request arrives on it. */
const backendOptions = ({ isPooled }: WantedBackend): string[] =>
  isPooled ? ['  http-reuse safe'] : ['  http-reuse never', '  option http-server-close']

const serverLines = ({ servers, serverOptions }: WantedBackend): string[] =>
  servers.map(({ name, address }) => `  server ${quote(name)} ${address} ${serverOptions}`.trimEnd())

/** Between single quotes HAProxy takes every character as it is. Lines cannot be quoted at all. */
const quote = (text: string): string => {
  if (/\p{Cc}/u.test(text)) throw new RangeError('a control character cannot stand in a configuration file')
  return `'${text.replaceAll("'", "'\\''")}'`
}
