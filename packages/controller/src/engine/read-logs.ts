// Readers of logs: opens a stream on each host of a reader, hands on what comes, and grants more as the reader takes it.
// Nothing is kept: what a host lost by a broken session is asked of it again, from the last line that came.
import type { AgentId, DownMessage, LogEntry, LogsDataMessage, LogsOpenMessage } from '@longshore/protocol'
import { limits, logCostOf } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { LogEvent, LogHostState } from '../api/log-schemas.ts'
import type { LogHost } from '../core/logs/choose-hosts.ts'
import { grantFor, grantsPerRound, maxHostsPerReader, roundMs, windowOf } from '../core/logs/grant.ts'
import type { AgentLink, Clock, Log } from '../ports.ts'
import type { FoundLogs, LogFinder } from './find-logs.ts'

/** Where the events of one reader go; nothing here throws. */
export type LogSink = {
  send(event: LogEvent): void
  end(): void
  /** What it was given and could not pass on yet. */
  readonly waitingBytes: number
}
export type LogReader = {
  begin(sink: LogSink): void
  /** Nobody listens any more. */
  stop(): void
}
export type LogReaders = {
  /** @throws ApiError `rate-limited` when the token, or all of them, have too many open */
  open(token: string, found: FoundLogs): LogReader
  heard(agent: AgentId, message: LogsDataMessage): void
  sessionBegan(agent: AgentId): void
  sessionEnded(agent: AgentId): void
}

export const maxReadersPerToken = 10
export const maxReaders = 32
/** A host that failed is asked again after this. */
const retryMs = 5_000

type Ports = {
  link: AgentLink
  finder: Pick<LogFinder, 'hostsOf'>
  clock: Clock
  /** Never jumps. */
  steadyClock: Clock
  log: Log
}
type HostReading = LogHost & {
  /** null: none is open. */
  stream: number | null
  state: LogHostState | 'new'
  detail: string
  unusedBytes: number
  /** Container -> time of its last line, and which replica it is. */
  containers: Map<string, { time: string | null; index: number }>
  wasOpened: boolean
  retryAtMs: number | null
}
type Reader = {
  token: string
  found: FoundLogs
  hosts: HostReading[]
  sink: LogSink | undefined
  openedAtMs: number
}

/** Numbers of streams grow over all readers. */
type Opener = { lastStream: number; ports: Ports }

export const createLogReaders = (ports: Ports): LogReaders => {
  const readers = new Set<Reader>()
  const opener: Opener = { lastStream: 0, ports }
  let isTurning = false

  const round = (): void => {
    isTurning = readers.size > 0
    if (!isTurning) return
    let leftBytes = grantsPerRound
    for (const reader of [...readers]) {
      leftBytes -= grantMore(ports, reader, leftBytes)
      for (const host of reader.hosts) if (isDue(host, ports)) openHost(opener, reader, host)
      // who was first now is last in the next round
      if (readers.delete(reader)) readers.add(reader)
    }
    nextRound()
  }
  const nextRound = (): void => {
    isTurning = true
    ports.steadyClock.at(ports.steadyClock.nowMs() + roundMs, round)
  }
  const finishIfDone = (reader: Reader): void => {
    if (reader.hosts.some((host) => !isOver(reader, host)) || reader.sink === undefined) return
    tell(ports, reader, { type: 'end' })
    readers.delete(reader)
    reader.sink.end()
  }
  const withHost = (agent: AgentId, act: (reader: Reader, host: HostReading) => void): void => {
    for (const reader of [...readers].filter(({ sink }) => sink !== undefined)) {
      for (const host of reader.hosts.filter(({ id }) => id === agent)) act(reader, host)
      finishIfDone(reader)
    }
  }
  /** Hosts that got the service since the reader began. */
  const addHosts = async (reader: Reader): Promise<void> => {
    const now = await ports.finder.hostsOf(reader.found)
    for (const { id, hostName } of now) {
      if (!readers.has(reader) || reader.hosts.length >= maxHostsPerReader) return
      if (reader.hosts.some((host) => host.id === id)) continue
      const host = newHost({ id, hostName })
      reader.hosts.push(host)
      openHost(opener, reader, host)
    }
  }
  return {
    open: (token, found) => {
      demandRoom([...readers], token)
      const openedAtMs = ports.clock.nowMs()
      const hosts = found.hosts.map(newHost)
      const reader: Reader = { token, found, hosts, sink: undefined, openedAtMs }
      readers.add(reader)
      return {
        begin: (sink) => {
          reader.sink = sink
          for (const host of reader.hosts) openHost(opener, reader, host)
          if (!isTurning) nextRound()
          finishIfDone(reader)
        },
        stop: () => {
          readers.delete(reader)
          for (const host of reader.hosts) closeHost(ports, host)
        }
      }
    },
    heard: (agent, message) => {
      for (const reader of readers) {
        const host = reader.hosts.find(({ id, stream }) => id === agent && stream === message.stream)
        if (host === undefined) continue
        for (const entry of message.entries) take(ports, reader, host, entry)
        return finishIfDone(reader)
      }
      // opened by a reader that has gone
      ports.link.send(agent, [{ type: 'logs.close', stream: message.stream }])
    },
    sessionBegan: (agent) => {
      withHost(agent, (reader, host) => {
        if (reader.found.isFollowed) openHost(opener, reader, host)
      })
      for (const reader of readers)
        if (reader.found.isFollowed && !reader.found.isNamed)
          void addHosts(reader).catch((error: unknown) =>
            ports.log.warn({ err: error }, 'the hosts of a log could not be looked up')
          )
    },
    sessionEnded: (agent) =>
      withHost(agent, (reader, host) => {
        if (host.stream === null) return
        host.stream = null
        say(ports, reader, host, 'lost', 'its session has ended')
      })
  }
}

const newHost = ({ id, hostName }: LogHost): HostReading => ({
  id,
  hostName,
  stream: null,
  state: 'new',
  detail: '',
  unusedBytes: 0,
  containers: new Map(),
  wasOpened: false,
  retryAtMs: null
})

const demandRoom = (readers: readonly Reader[], token: string): void => {
  const own = readers.filter((reader) => reader.token === token).length
  if (own >= maxReadersPerToken)
    throw new ApiError('rate-limited', `this token reads ${own} logs, the most that it may have open`)
  if (readers.length >= maxReaders)
    throw new ApiError('rate-limited', `${readers.length} logs are being read, the most that there may be`)
}

/** Nothing more will come from it, also not later. */
const isOver = ({ found }: Reader, { state }: HostReading): boolean => {
  if (state === 'refused' || state === 'too-old' || state === 'complete') return true
  return !found.isFollowed && (state === 'not-connected' || state === 'lost' || state === 'failed')
}

const isDue = ({ retryAtMs }: HostReading, { steadyClock }: Ports): boolean =>
  retryAtMs !== null && steadyClock.nowMs() >= retryAtMs

type Unstamped<E = LogEvent> = E extends LogEvent ? Omit<E, 'at'> : never

const tell = ({ clock }: Ports, { sink }: Reader, event: Unstamped): void =>
  sink?.send({ ...event, at: new Date(clock.nowMs()).toISOString() })

/** Once: the same again is no news. */
const say = (ports: Ports, reader: Reader, host: HostReading, state: LogHostState, detail: string): void => {
  if (host.state === state && host.detail === detail) return
  Object.assign(host, { state, detail })
  tell(ports, reader, { type: 'host', host: host.hostName, state, detail })
}

const openHost = (opener: Opener, reader: Reader, host: HostReading): void => {
  host.retryAtMs = null
  if (host.stream !== null) return
  const hindrance = hindranceOf(opener, reader, host)
  if (hindrance !== null) {
    say(opener.ports, reader, host, ...hindrance)
    return
  }
  const again = host.wasOpened ? 'again, from the last line that came' : ''
  host.wasOpened = true
  say(opener.ports, reader, host, 'reading', again)
}

/** Opens a stream on it. @returns why that cannot be; null: it is open */
const hindranceOf = (
  opener: Opener,
  reader: Reader,
  host: HostReading
): [state: LogHostState, detail: string] | null => {
  const { link, steadyClock } = opener.ports
  if (!link.isConnected(host.id)) return ['not-connected', 'its agent is not connected']
  if (!link.capabilitiesOf(host.id).includes('logs')) return ['too-old', 'its agent is too old for logs']
  opener.lastStream += 1
  const windowBytes = windowOf(reader.hosts.length)
  const message = openMessage(opener.ports, reader, host, { stream: opener.lastStream, windowBytes })
  if (!link.send(host.id, [message])) {
    if (reader.found.isFollowed) host.retryAtMs = steadyClock.nowMs() + retryMs
    return ['failed', 'too much is waiting to be sent to it']
  }
  Object.assign(host, { stream: opener.lastStream, unusedBytes: windowBytes })
  return null
}

const openMessage = (
  { clock }: Ports,
  { found, openedAtMs }: Reader,
  { wasOpened, containers }: HostReading,
  { stream, windowBytes }: { stream: number; windowBytes: number }
): LogsOpenMessage => {
  const { environment, service, isFollowed, sinceMs, tail, grep } = found
  const nowMs = clock.nowMs()
  const fromMs = wasOpened ? openedAtMs : sinceMs
  const after = [...containers].flatMap(([container, { time }]) =>
    time === null ? [] : [{ container, time }]
  )
  return {
    type: 'logs.open',
    stream,
    environment,
    service,
    isFollowed,
    maxAgeMs: fromMs === null ? null : Math.max(0, nowMs - fromMs),
    tail: wasOpened ? null : tail,
    grep,
    after: after.slice(-limits.maxLogResumes),
    grant: windowBytes
  }
}

const closeHost = ({ link }: Ports, host: HostReading): void => {
  if (host.stream !== null) link.send(host.id, [{ type: 'logs.close', stream: host.stream }])
  host.stream = null
}

const take = (ports: Ports, reader: Reader, host: HostReading, entry: LogEntry): void => {
  if (host.stream === null) return
  host.unusedBytes -= logCostOf(entry)
  if (host.unusedBytes < 0) {
    closeHost(ports, host)
    ports.log.warn({ agent: host.id }, 'an agent sent more of a log than it was granted')
    // for good: it would do so again
    say(ports, reader, host, 'refused', 'its agent sent more than it was granted')
    return
  }
  if (entry.kind === 'done') {
    takeDone(ports, reader, host, entry)
    return
  }
  const known = host.containers.get(entry.container)
  if (entry.kind === 'begun') noteContainer(host, entry)
  if (entry.kind === 'line' && known !== undefined) known.time = entry.time ?? known.time
  tell(ports, reader, eventOf(host.hostName, entry, known?.index ?? null))
}

const takeDone = (
  ports: Ports,
  reader: Reader,
  host: HostReading,
  { outcome, detail }: Extract<LogEntry, { kind: 'done' }>
): void => {
  host.stream = null
  if (outcome === 'failed' && reader.found.isFollowed) host.retryAtMs = ports.steadyClock.nowMs() + retryMs
  say(ports, reader, host, outcome, detail)
}

/** The oldest ones are forgotten: a container that comes back after so many is read from the opening on. */
const noteContainer = (
  { containers }: HostReading,
  { container, index }: Extract<LogEntry, { kind: 'begun' }>
): void => {
  const time = containers.get(container)?.time ?? null
  containers.delete(container)
  containers.set(container, { time, index })
  for (const id of containers.keys()) {
    if (containers.size <= limits.maxLogResumes) break
    containers.delete(id)
  }
}

const eventOf = (
  host: LogHost['hostName'],
  entry: Exclude<LogEntry, { kind: 'done' }>,
  index: number | null
): Unstamped => {
  const { container } = entry
  switch (entry.kind) {
    case 'line': {
      const { from, time, text, isCut = false } = entry
      return { type: 'line', host, container, index, from, time, text, isCut }
    }
    case 'begun': {
      const { name, release } = entry
      const begun = { state: 'begun' as const, name, release, index: entry.index, detail: '' }
      return { type: 'container', host, container, ...begun }
    }
    case 'ended':
    case 'unreadable': {
      const detail = entry.kind === 'unreadable' ? entry.detail : ''
      const rest = { state: entry.kind, name: null, release: null, index, detail }
      return { type: 'container', host, container, ...rest }
    }
    case 'left-out':
      return { type: 'left-out', host, container, lines: entry.lines }
    default:
      return entry satisfies never
  }
}

/** @returns what was granted */
const grantMore = ({ link }: Ports, { hosts, sink }: Reader, leftBytes: number): number => {
  if (sink === undefined) return 0
  let granted = 0
  const windowBytes = windowOf(hosts.length)
  for (const host of hosts) {
    if (host.stream === null) continue
    const { waitingBytes } = sink
    const bytes = grantFor(
      { windowBytes, unusedBytes: host.unusedBytes },
      { waitingBytes, leftBytes: leftBytes - granted }
    )
    if (bytes === 0) continue
    const message: DownMessage = { type: 'logs.grant', stream: host.stream, bytes }
    if (!link.send(host.id, [message])) continue
    host.unusedBytes += bytes
    granted += bytes
  }
  return granted
}
