// What the load is told and what it tells at its end: the words that its process and the tests share.

/** One way in which clients use a service. */
export const kinds = [
  /** GET, connection kept and used again */
  'get',
  /** GET, a connection for each */
  'get-fresh',
  /** POST of 20 kB at once */
  'post',
  /** GET, answered after one to two seconds */
  'slow',
  /** POST of 20 kB within 1.2 seconds, in pieces */
  'upload',
  /** answer in chunks within 1.5 seconds */
  'stream',
  /** WebSocket, always open, with an echo now and then */
  'socket',
  /** GET and POST side by side in HTTP/2 sessions over TLS */
  'http2',
  /** the line protocol, connection always open */
  'line',
  /** the line protocol, a connection for each line */
  'line-fresh'
] as const
export type Kind = (typeof kinds)[number]

/** The services that are used; each has its own versions, replaced at its own time. */
export type Service = 'web' | 'secure' | 'line'
export const serviceOf = (kind: Kind): Service =>
  kind === 'http2' ? 'secure' : kind === 'line' || kind === 'line-fresh' ? 'line' : 'web'

export type LoadOptions = {
  /** `http://HOST:PORT`; null: no HTTP/1.1 and no WebSockets. */
  url: string | null
  /** `https://HOST:PORT` for HTTP/2, and the authority to trust. */
  secure: { url: string; caFile: string } | null
  line: { host: string; port: number } | null
  /** Clients of each kind; each does one thing after the other. */
  clients: Partial<Record<Kind, number>>
  /** Pause of a client between two requests. */
  paceMs: number
  /** It stops by itself after so long, and after so many requests. */
  maxMs: number
  maxRequests: number
}

export const whys = [
  /** an answer outside 200-299 */
  'status',
  /** the connection was reset or closed before an answer began */
  'reset',
  'refused',
  /** no way to the host, or no connection within the limit */
  'unreachable',
  /** the answer broke off */
  'truncated',
  /** an answer to something else */
  'wrong',
  'timeout'
] as const
export type Why = (typeof whys)[number]

/** Times are of the machine's clock, milliseconds since 1970. */
export type Failure = {
  kind: Kind
  /** Number of the client within its kind. */
  client: number
  why: Why
  detail: string
  askedAtMs: number
  atMs: number
}

/** A long-lived connection that ended without the client's doing. */
export type Cut = {
  kind: Kind
  client: number
  /** Who was at the other end; null: nothing had been answered yet. */
  version: string | null
  /** WebSocket close code, or the error of the connection. */
  code: string
  atMs: number
  openedAtMs: number
  /** An echo was on its way. */
  isAsked: boolean
}

export type KindReport = {
  answered: number
  failed: number
  p50Ms: number | null
  p99Ms: number | null
  maxMs: number | null
}
export type VersionReport = {
  answers: number
  firstAtMs: number
  lastAtMs: number
  /** Begin of the last request that it answered as this service; those in long-lived connections do not count. */
  lastAskedAtMs: Partial<Record<Service, number>>
}

export type LoadReport = {
  forMs: number
  answered: number
  failed: number
  kinds: Partial<Record<Kind, KindReport>>
  /** The first few hundred. */
  failures: Failure[]
  cuts: Cut[]
  versions: Record<string, VersionReport>
  /** The longest time in which no new GET or POST was answered. */
  longestGap: { fromMs: number; toMs: number } | null
  /** Streams that an HTTP/2 server refused unprocessed, sent again. */
  sentAgain: number
}

/** Lines that the process prints. */
export type LoadLine =
  /** Every client has had an answer. */
  | { type: 'ready' }
  | { type: 'version'; version: string; atMs: number }
  | ({ type: 'failure' } & Failure)
  | ({ type: 'cut' } & Cut)
  | ({ type: 'report' } & LoadReport)
