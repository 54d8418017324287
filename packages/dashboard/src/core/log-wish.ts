// What of a service's logs is wanted, as it stands in an address, and as the controller is asked for it.

export type LogWish = {
  /** Names; none: every host of the service. */
  readonly hosts: readonly string[]
  /** A duration as people type it, `10m`; empty: from the first line that is kept. */
  readonly since: string
  /** So many of the last lines of each container; null: all. */
  readonly tail: number | null
  /** Looked for on the hosts, letter by letter; empty: every line. */
  readonly grep: string
  /** Go on with what is written from now on. */
  readonly isFollowed: boolean
}
export type LogSource = { readonly environment: string; readonly service: string; readonly wish: LogWish }

export const defaultWish: LogWish = { hosts: [], since: '', tail: 200, grep: '', isFollowed: true }
/** As the controller limits them. */
export const maxTailLines = 100_000
export const maxGrepChars = 256
export const maxLogHosts = 32

/** @param query what stands behind the `?` of an address; what makes no sense there is as if it were not there */
export const readWish = (query: string): LogWish => {
  const read = new URLSearchParams(query)
  const since = read.get('since') ?? ''
  return {
    hosts: [...new Set(read.getAll('host').filter(Boolean))],
    since: parseSpan(since) === null ? '' : since,
    tail: readTail(read.get('tail')),
    grep: (read.get('grep') ?? '').slice(0, maxGrepChars),
    isFollowed: read.get('follow') !== 'false'
  }
}

const readTail = (text: string | null): number | null => {
  if (text === 'all') return null
  const count = Number(text ?? '')
  return Number.isInteger(count) && count > 0 && count <= maxTailLines ? count : defaultWish.tail
}

/** @returns '' for the default */
export const writeWish = ({ hosts, since, tail, grep, isFollowed }: LogWish): string => {
  const query = new URLSearchParams(hosts.map((host): [string, string] => ['host', host]))
  if (since !== '') query.set('since', since)
  if (tail !== defaultWish.tail) query.set('tail', tail === null ? 'all' : String(tail))
  if (grep !== '') query.set('grep', grep)
  if (!isFollowed) query.set('follow', 'false')
  return query.toString()
}

const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `10m`, `1h30m`, `7d`. @returns milliseconds; null: it is no duration */
export const parseSpan = (text: string): number | null => {
  if (!/^(\d{1,6}[smhd])+$/.test(text)) return null
  const parts = [...text.matchAll(/(\d+)([smhd])/g)]
  const ms = parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (unitMs[unit] ?? 0), 0)
  return ms === 0 ? null : ms
}

/** What the controller is asked. */
export type LogQuestion = {
  readonly source: LogSource
  /** By the controller's clock; null: from the first line that is kept. */
  readonly sinceMs: number | null
  readonly tail: number | null
}

/** @param nowMs by the controller's clock */
export const askFirst = (source: LogSource, nowMs: number): LogQuestion => {
  const span = parseSpan(source.wish.since)
  const sinceMs = span === null ? null : Math.max(0, nowMs - span)
  return { source, sinceMs, tail: source.wish.tail }
}

/** @returns a path below the page's address */
export const logPath = ({ source, sinceMs, tail }: LogQuestion): string => {
  const { environment, service, wish } = source
  const query = new URLSearchParams({ environment, service, follow: String(wish.isFollowed) })
  if (wish.hosts.length > 0) query.set('host', wish.hosts.join(','))
  if (sinceMs !== null) query.set('sinceMs', String(sinceMs))
  if (tail !== null) query.set('tail', String(tail))
  if (wish.grep !== '') query.set('grep', wish.grep)
  return `v1/logs?${query}`
}
