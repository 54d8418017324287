// Readers of logs: what is granted to whom, what a reader is told of each host, and how a broken stream goes on.
import { type AgentId, type DownMessage, type LogEntry, limits, logCostOf } from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import type { LogEvent } from '../../../../packages/controller/src/api/schemas.ts'
import { CliError } from '../../../../packages/controller/src/cli/cli-errors.ts'
import { followLogs } from '../../../../packages/controller/src/cli/follow-logs.ts'
import {
  emptyLogPicture,
  foldLogEvent,
  renderLogLine,
  renderLogNotice
} from '../../../../packages/controller/src/cli/render-logs.ts'
import {
  grantFor,
  maxHostsPerReader,
  maxWaitingBytes,
  windowOf
} from '../../../../packages/controller/src/core/logs/grant.ts'
import type { FoundLogs } from '../../../../packages/controller/src/engine/find-logs.ts'
import {
  createLogReaders,
  maxReaders,
  maxReadersPerToken
} from '../../../../packages/controller/src/engine/read-logs.ts'
import { silent } from '../../../support/wire-agent.ts'
import { HandClock } from './engine-scene.ts'

const agents = ['one', 'two', 'three'].map((hostName) => ({ id: `agt_${hostName}` as AgentId, hostName }))
const [one, two, three] = agents.map(({ id }) => id) as [AgentId, AgentId, AgentId]
const container = '0123456789ab'

const scene = (found: Partial<FoundLogs> = {}) => {
  const clock = new HandClock()
  const connected = new Map<AgentId, string[]>([
    [one, ['logs']],
    [two, []]
  ])
  const sent: { agent: AgentId; message: DownMessage }[] = []
  const readers = createLogReaders({
    link: {
      isConnected: (agent) => connected.has(agent),
      capabilitiesOf: (agent) => connected.get(agent) ?? [],
      send: (agent, messages) => {
        sent.push(...messages.map((message) => ({ agent, message })))
        return connected.has(agent)
      },
      close: () => undefined
    },
    finder: { hostsOf: async () => agents as never },
    clock,
    steadyClock: clock,
    log: silent
  })
  const events: LogEvent[] = []
  const sink = {
    waitingBytes: 0,
    isEnded: false,
    send: (event: LogEvent) => void events.push(event),
    end: () => undefined
  }
  sink.end = () => void Object.assign(sink, { isEnded: true })
  const wanted = {
    environment: 'test',
    service: 'web',
    hosts: agents,
    isNamed: true,
    isFollowed: true,
    sinceMs: null,
    tail: 5,
    grep: null,
    ...found
  } as FoundLogs
  const opens = () => sent.flatMap(({ message }) => (message.type === 'logs.open' ? [message] : []))
  const granted = () =>
    sent.reduce((sum, { message }) => {
      if (message.type === 'logs.open') return sum + message.grant
      return sum + (message.type === 'logs.grant' ? message.bytes : 0)
    }, 0)
  const hear = (...entries: LogEntry[]): void =>
    readers.heard(one, { type: 'logs.data', stream: opens().at(-1)?.stream ?? 0, entries })
  const states = () =>
    events.flatMap((event) => (event.type === 'host' ? [`${event.host}: ${event.state}`] : []))
  return { clock, connected, sent, readers, events, sink, wanted, opens, granted, hear, states }
}
const begun: LogEntry = { kind: 'begun', container, name: 'web-r1-0', release: 1, index: 0 }
const lineOf = (text: string, number = 1): Extract<LogEntry, { kind: 'line' }> => ({
  kind: 'line',
  container,
  from: 'stdout',
  time: `2026-01-01T00:00:00.${String(number).padStart(9, '0')}Z`,
  text
})

t.test('says of each host how it is, and asks a lost one to go on behind its last line', async (t) => {
  const { readers, wanted, sink, events, states, hear, opens, connected, clock } = scene()
  const reader = readers.open('tok', wanted)
  reader.begin(sink)
  t.same(states(), ['one: reading', 'two: too-old', 'three: not-connected'])
  hear(begun, lineOf('a', 1), lineOf('b', 2), { kind: 'left-out', container, lines: 3 })
  t.match(events.slice(3), [
    { type: 'container', state: 'begun', release: 1 },
    { type: 'line', text: 'a', index: 0, host: 'one' },
    { type: 'line', text: 'b' },
    { type: 'left-out', lines: 3 }
  ])
  connected.delete(one)
  readers.sessionEnded(one)
  clock.move(60_000)
  connected.set(one, ['logs'])
  readers.sessionBegan(one)
  t.same(states().slice(3), ['one: lost', 'one: reading'])
  t.match(opens().at(-1), { tail: null, maxAgeMs: 60_000, after: [{ container, time: lineOf('', 2).time }] })
  connected.set(three, ['logs'])
  readers.sessionBegan(three)
  t.equal(states().at(-1), 'three: reading')
})

t.test('a host that failed is asked again, one that sends more than it may is not', async (t) => {
  const { readers, wanted, sink, states, hear, opens, clock, sent } = scene()
  readers.open('tok', wanted).begin(sink)
  hear({ kind: 'done', outcome: 'failed', detail: 'the Docker Engine does not answer' })
  t.equal(opens().length, 1)
  clock.move(5_000)
  t.equal(opens().length, 2)
  const window = opens().at(-1)?.grant ?? 0
  const much = Math.ceil(window / logCostOf(lineOf('x'.repeat(1000)))) + 1
  hear(begun, ...Array<LogEntry>(much).fill(lineOf('x'.repeat(1000))))
  t.equal(states().at(-1), 'one: refused')
  t.equal(sent.at(-1)?.message.type, 'logs.close')
})

t.test('what is not followed ends when every host has told what it has, or cannot', async (t) => {
  const { readers, wanted, sink, events, hear } = scene({ isFollowed: false })
  readers.open('tok', wanted).begin(sink)
  t.notOk(sink.isEnded)
  hear(begun, lineOf('a'), { kind: 'done', outcome: 'complete', detail: '' })
  t.equal(events.at(-1)?.type, 'end')
  t.ok(sink.isEnded)
})

t.test(
  'a reader that takes nothing has nothing granted, and none is granted what nobody reads',
  async (t) => {
    const { readers, wanted, sink, hear, granted, clock, sent } = scene()
    const reader = readers.open('tok', wanted)
    reader.begin(sink)
    const first = granted()
    const half = Math.ceil(first / 2 / logCostOf(lineOf('x'.repeat(1000))))
    hear(begun, ...Array<LogEntry>(half).fill(lineOf('x'.repeat(1000))))
    sink.waitingBytes = maxWaitingBytes + 1
    clock.move(1000)
    t.equal(granted(), first)
    sink.waitingBytes = 0
    clock.move(1000)
    t.ok(granted() > first)
    reader.stop()
    t.equal(sent.at(-1)?.message.type, 'logs.close')
    const before = sent.length
    hear(lineOf('late'))
    t.equal(sent[before]?.message.type, 'logs.close', 'a stream that nobody reads is closed')
  }
)

t.test('a token and all tokens have so many logs open at most', async (t) => {
  const { readers, wanted } = scene()
  const opened = Array.from({ length: maxReadersPerToken }, () => readers.open('tok', wanted))
  t.throws(() => readers.open('tok', wanted), { code: 'rate-limited' })
  for (let number = opened.length; number < maxReaders; number += 1) readers.open(`tok${number}`, wanted)
  t.throws(() => readers.open('other', wanted), { code: 'rate-limited' })
  opened[0]?.stop()
  t.doesNotThrow(() => readers.open('other', wanted))
})

t.test('what hosts may have on their way to one reader stays below what drops it', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: maxHostsPerReader }),
      fc.nat(),
      fc.nat(),
      (hosts, unused, waiting) => {
        const windowBytes = windowOf(hosts)
        t.ok(windowBytes >= limits.maxLogChars + limits.logEntryBytes, 'the longest line passes')
        t.ok(windowBytes * hosts + maxWaitingBytes < limits.maxBufferedBytes)
        const unusedBytes = unused % windowBytes
        const bytes = grantFor({ windowBytes, unusedBytes }, { waitingBytes: waiting, leftBytes: 1_000_000 })
        t.ok(unusedBytes + bytes <= windowBytes)
      }
    ),
    { numRuns: 50 }
  )
})

const at = '2026-01-01T00:00:00.000Z'
const seenLine = (host: string, text: string, more: object = {}): Extract<LogEvent, { type: 'line' }> => ({
  at,
  type: 'line',
  host,
  container,
  index: 0,
  from: 'stdout',
  time: lineOf('').time,
  text,
  isCut: false,
  ...more
})

t.test('lines stand behind their host, and cannot paint on a terminal', async (t) => {
  let picture = emptyLogPicture
  const begins = (host: string, id: string, index: number): LogEvent => ({
    at,
    type: 'container',
    host,
    container: id,
    state: 'begun',
    name: 'n',
    release: 2,
    index,
    detail: ''
  })
  for (const event of [
    begins('a', container, 0),
    begins('a', 'ba9876543210', 1),
    begins('longer', container, 0)
  ])
    picture = foldLogEvent(picture, event)
  const text = '\u001b[31mred\u001b[0m\tand \u001b]0;title\u0007 \u202e'
  t.equal(renderLogLine(picture, seenLine('a', text), false), 'a/1    | red\tand  ]0;title')
  const cut = seenLine('longer', 'x', { isCut: true })
  t.equal(renderLogLine(picture, cut, true), `longer | ${String(cut.time)} x […]`)
  t.equal(
    renderLogNotice({
      at,
      type: 'host',
      host: 'a',
      state: 'too-old',
      detail: 'its agent is too old for logs'
    }),
    'a: its agent is too old for logs'
  )
  t.equal(
    renderLogNotice({ at, type: 'left-out', host: 'a', container, lines: 1 }),
    'a: 1 line left out, too much was written'
  )
})

t.test('a follower asks again after a lost connection and shows no line twice', async (t) => {
  const asked: unknown[] = []
  const answers = [
    // the clock of the host was set back in between: nothing of it is lost
    [1, 0, 2],
    [2, 3]
  ]
  const client = {
    async *logs(query: object): AsyncGenerator<LogEvent> {
      asked.push(query)
      const lost = { type: 'host', host: 'b', state: 'lost', detail: '' } as const
      if (asked.length === 1) yield { ...lost, at: '2025-12-31T23:50:00.000Z' }
      for (const number of answers.shift() ?? [])
        yield seenLine('a', String(number), { time: lineOf('', number).time })
      if (answers.length > 0) throw new CliError('connection-lost', 'gone')
      yield { at, type: 'end' }
    }
  }
  const [shown, notices]: [string[], string[]] = [[], []]
  const wanted = {
    environment: 'test',
    service: 'web',
    host: undefined,
    follow: true,
    sinceMs: undefined,
    tail: 2,
    grep: undefined
  }
  await followLogs(
    client,
    wanted,
    {
      event: (event) => void (event.type === 'line' && shown.push(event.text)),
      notice: (text) => void notices.push(text)
    },
    new AbortController().signal
  )
  t.same(shown, ['1', '0', '2', '3'])
  const sinceMs = Date.parse(at) - 610_000
  t.match(asked[1], { tail: undefined, sinceMs }, 'from where a lost host was left')
  t.match(notices, [/gone; trying again/, /again/])
})
