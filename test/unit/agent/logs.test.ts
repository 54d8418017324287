// Logs on the host: bytes to lines, lines to what may be sent, and one reader's stream over an engine that the test
// plays.
import { type LogEntry, type LogsOpenMessage, limits, logCostOf } from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import { chooseLogged } from '../../../packages/agent/src/core/logs/choose-containers.ts'
import { createLogDecoder, type DecodedLine } from '../../../packages/agent/src/core/logs/decode-log.ts'
import { behind, pointAt } from '../../../packages/agent/src/core/logs/log-points.ts'
import {
  emptyQueue,
  granted,
  leftOut,
  queued,
  taken,
  tellAllLeftOut
} from '../../../packages/agent/src/core/logs/queue-entries.ts'
import type { SeenContainer } from '../../../packages/agent/src/core/observation.ts'
import { hostPolicy, type PolicyState } from '../../../packages/agent/src/core/policy.ts'
import { EngineError } from '../../../packages/agent/src/engine-error.ts'
import { createLogs, type LogOutlet } from '../../../packages/agent/src/logs.ts'
import type { Clock, ContainerLogs } from '../../../packages/agent/src/ports.ts'
import { settle, takeOverImmediates } from '../../sim/settle.ts'
import { createVirtualTime } from '../../sim/virtual-time.ts'
import { silent } from '../../support/wire-agent.ts'

const stamp = (number: number): string => `2026-01-01T00:00:00.${String(number).padStart(9, '0')}Z`
const frame = (stream: number, text: string): Buffer => {
  const body = Buffer.from(text)
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(body.length, 4)
  return Buffer.concat([header, body])
}
const decode = (chunks: readonly Uint8Array[], isTty: boolean): DecodedLine[] => {
  const decoder = createLogDecoder(isTty)
  const lines: DecodedLine[] = []
  for (const chunk of chunks) decoder.read(chunk, (line) => void lines.push(line))
  decoder.end((line) => void lines.push(line))
  return lines
}
const cutAt = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b
  )
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}
const texts = fc.array(
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll(/[\r\n]/g, ' '))
)

t.test('lines come out as they went in, however the bytes are cut', async (t) => {
  fc.assert(
    fc.property(texts, fc.array(fc.nat()), fc.boolean(), (lines, cuts, isTty) => {
      const stamped = lines.map((text, number) => `${stamp(number)} ${text}${isTty ? '\r' : ''}\n`)
      const bytes = Buffer.concat(
        stamped.map((text, number) => (isTty ? Buffer.from(text) : frame(1 + (number % 2), text)))
      )
      const expected = lines.map((text, number) => {
        const from = isTty ? 'tty' : number % 2 === 0 ? 'stdout' : 'stderr'
        return { from, time: stamp(number), text, isCut: false }
      })
      t.strictSame(decode(cutAt(bytes, cuts), isTty), expected)
      const counter = createLogDecoder(isTty)
      const counted = cutAt(bytes, cuts).map((chunk) => counter.skip(chunk))
      t.equal(
        counted.reduce((sum, count) => sum + count, 0),
        lines.length,
        'skipping counts as many'
      )
    }),
    { numRuns: 60 }
  )
})

t.test('a line is cut at its limit, whatever a header claims, and what follows is whole', async (t) => {
  const long = 'x'.repeat(limits.maxLogLineBytes)
  const bytes = [
    frame(1, `${stamp(1)} ${long}`),
    frame(1, `${stamp(2)} rest\n`),
    frame(1, `${stamp(3)} next\n`)
  ]
  const [first, next] = decode(bytes, false)
  t.match(first, { time: stamp(1), isCut: true })
  t.equal(first?.text.length, limits.maxLogLineBytes)
  t.match(next, { text: 'next', isCut: false })
  const claims = Buffer.from([2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
  const [huge] = decode([claims, ...Array<Buffer>(40).fill(Buffer.alloc(4096, 'y'))], false)
  t.match(huge, { from: 'stderr', time: null, isCut: true })
  const [quotes] = decode([Buffer.from('"'.repeat(16_000))], true)
  t.ok(
    logCostOf({ kind: 'line', container: 'ab'.repeat(6), ...quotes } as LogEntry) <= limits.maxLogGrantBytes
  )
  t.ok(quotes?.isCut, 'what grows as JSON is cut earlier')
})

const line = (text: string): LogEntry => ({
  kind: 'line',
  container: '0123456789ab',
  from: 'stdout',
  time: null,
  text
})

t.test('no more is sent than was granted, and every line is sent or counted', async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('line' as const), length: fc.nat({ max: 4000 }) }),
    fc.record({ kind: fc.constant('grant' as const), bytes: fc.nat({ max: 8000 }) }),
    fc.record({ kind: fc.constant('take' as const) })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      let queue = emptyQueue(0)
      let [grants, sent, written] = [0, 0, 0]
      const out: LogEntry[] = []
      const take = (): void => {
        const next = taken(queue)
        queue = next.queue
        out.push(...next.entries)
        sent += next.entries.reduce((sum, entry) => sum + logCostOf(entry), 0)
      }
      for (const one of steps) {
        if (one.kind === 'line') {
          written += 1
          queue = queued(queue, line('x'.repeat(one.length)))
        } else if (one.kind === 'grant') {
          grants += one.bytes
          queue = granted(queue, one.bytes)
        } else take()
        t.ok(sent <= grants, 'within the grant')
        t.ok(
          queue.bytes <= limits.maxLogQueueBytes + limits.maxLogChars + 2 * limits.logEntryBytes,
          'bounded'
        )
      }
      queue = granted(tellAllLeftOut(queue), Number.MAX_SAFE_INTEGER)
      while (queue.entries.length > 0) take()
      const told = out.reduce((sum, entry) => {
        if (entry.kind === 'line') return sum + 1
        return sum + (entry.kind === 'left-out' ? (entry.lines ?? 0) : 0)
      }, 0)
      t.equal(told, written)
    }),
    { numRuns: 60 }
  )
  const uncounted = leftOut(leftOut(emptyQueue(0), '0123456789ab', null), '0123456789ab', 3)
  t.match(tellAllLeftOut(uncounted).entries, [{ kind: 'left-out', lines: null }], 'not counted stays so')
})

t.test('a point behind a line is one nanosecond later', async (t) => {
  t.equal(behind('2026-01-01T00:00:00.999999999Z'), '1767225601.000000000')
  t.equal(pointAt(1_767_225_600_012), '1767225600.012000000')
})

const place = { installation: 'ins', environment: 'test', service: 'web' }
const container = (id: string, release: number, state: string, more: object = {}): SeenContainer =>
  ({
    id: id.padEnd(64, '0'),
    name: id,
    state,
    createdAtMs: 1,
    owner: { ...place, release, index: 0, purpose: 'serving', ...more }
  }) as unknown as SeenContainer

t.test('what runs is read, and of what does not the newest release', async (t) => {
  const seen = [
    container('aa', 1, 'exited'),
    container('bb', 2, 'running'),
    container('cc', 3, 'exited'),
    container('dd', 3, 'running', { purpose: 'once' }),
    container('ee', 3, 'running', { service: 'other' }),
    { ...container('ff', 9, 'running'), owner: null }
  ]
  const chosen = chooseLogged(seen, place as never)
  t.same(
    chosen.map(({ name, isUp }) => [name, isUp]),
    [
      ['bb', true],
      ['cc', false]
    ]
  )
  t.same(chooseLogged([], place as never), [])
})

const openMessage = (more: Partial<LogsOpenMessage> = {}): LogsOpenMessage =>
  ({
    type: 'logs.open',
    stream: 1,
    environment: 'test',
    service: 'web',
    isFollowed: true,
    maxAgeMs: null,
    tail: 10,
    grep: null,
    after: [],
    grant: limits.maxLogGrantBytes,
    ...more
  }) as LogsOpenMessage

const writtenByHand = () => {
  const waiting: Uint8Array[] = []
  let isOver = false
  let wake = (): void => {}
  return {
    write: (text: string): void => {
      waiting.push(frame(1, text))
      wake()
    },
    end: (): void => {
      isOver = true
      wake()
    },
    async *chunks(): AsyncGenerator<Uint8Array> {
      for (;;) {
        const next = waiting.shift()
        if (next !== undefined) yield next
        else if (isOver) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    }
  }
}

/** An engine whose containers write when the test says so. */
const scene = (policy: PolicyState = { kind: 'absent' }) => {
  const now = { policy }
  const time = createVirtualTime(Date.parse('2026-01-01T00:00:00Z'))
  const clock: Clock = time.clockFor(() => true)
  const sent: LogEntry[] = []
  const opened: { id: string; how: Parameters<ContainerLogs['open']>[1] }[] = []
  const writers = new Map<string, ReturnType<typeof writtenByHand>>()
  const outlet = {
    bufferedBytes: 0,
    unsentFrames: 0,
    queue: (messages) => {
      for (const message of messages) if (message.type === 'logs.data') sent.push(...message.entries)
    }
  } satisfies LogOutlet
  const engine = { containers: [container('aa', 1, 'running')], refuses: '', isAtWork: false }
  let changed = (): void => {}
  const logs = createLogs({
    engine: { listContainers: async () => engine.containers },
    containerLogs: {
      open: async (id, how, signal) => {
        if (engine.refuses !== '') throw new EngineError('failed', engine.refuses)
        opened.push({ id: id.slice(0, 2), how })
        const source = writtenByHand()
        signal.addEventListener('abort', source.end)
        writers.set(id.slice(0, 2), source)
        return { isTty: false, chunks: source.chunks() }
      }
    },
    watch: {
      onChange: (listener) => {
        changed = listener
        return () => {}
      }
    },
    policy: { state: () => now.policy },
    installation: () => 'ins' as never,
    isAtWork: () => engine.isAtWork,
    clock,
    log: silent
  })
  logs.attach(outlet)
  const pass = async (durationMs: number): Promise<void> => {
    await settle()
    const untilMs = time.nowMs() + durationMs
    while ((time.nextAtMs() ?? Number.POSITIVE_INFINITY) <= untilMs) {
      time.passToNext()
      await settle()
    }
  }
  return { logs, now, sent, opened, writers, outlet, engine, pass, changed: () => changed() }
}

t.test('while a command is carried out logs are read slowly: the machine is for the command', async (t) => {
  t.teardown(takeOverImmediates())
  const { logs, sent, writers, engine, pass } = scene()
  logs.received(openMessage({ grep: 'end' }))
  await pass(100)
  const flood = `${stamp(1)} ${'x'.repeat(1000)}\n`.repeat(100)
  writers.get('aa')?.write(flood)
  writers.get('aa')?.write(`${stamp(2)} end of the first\n`)
  await pass(200)
  t.same(wordsOf(sent), ['begun', 'end of the first'])
  engine.isAtWork = true
  writers.get('aa')?.write(flood)
  writers.get('aa')?.write(`${stamp(3)} end of the second\n`)
  await pass(200)
  t.equal(sent.length, 2)
  await pass(1000)
  t.same(wordsOf(sent), ['begun', 'end of the first', 'end of the second'])
})

const wordsOf = (entries: readonly LogEntry[]): string[] =>
  entries.map((entry) => (entry.kind === 'line' ? entry.text : entry.kind))

t.test(
  'a restarted container goes on behind its last line, a new one is followed from its first',
  async (t) => {
    t.teardown(takeOverImmediates())
    const { logs, sent, opened, writers, engine, pass, changed } = scene()
    logs.received(openMessage({ grep: 'e' }))
    await pass(100)
    writers.get('aa')?.write(`${stamp(1)} one\n${stamp(2)} not this\n${stamp(3)} skip\n`)
    await pass(100)
    writers.get('aa')?.end()
    await pass(2000)
    writers.get('aa')?.end()
    engine.containers = [container('aa', 1, 'exited'), container('bb', 2, 'running')]
    changed()
    await pass(2000)
    writers.get('bb')?.write(`${stamp(4)} new\n`)
    await pass(100)
    t.same(wordsOf(sent), ['begun', 'one', 'begun', 'ended', 'new'])
    t.same(
      opened.map(({ id, how }) => [id, how.since, how.tail]),
      [
        ['aa', null, 10],
        ['aa', '1767225600.000000004', null],
        ['bb', '1767225600.000000000', null]
      ]
    )
    logs.detach()
  }
)

t.test('a follower without a grant loses lines after a second, and is told how many', async (t) => {
  t.teardown(takeOverImmediates())
  const { logs, sent, writers, outlet, pass } = scene()
  logs.received(openMessage({ grant: 0 }))
  await pass(100)
  const text = 'x'.repeat(1000)
  const burst = `${stamp(1)} ${text}\n`.repeat(100)
  for (let count = 0; count < 10; count += 1) {
    writers.get('aa')?.write(burst)
    await pass(1500)
  }
  t.same(sent, [], 'nothing without a grant')
  for (let count = 0; count < 8; count += 1) {
    logs.received({ type: 'logs.grant', stream: 1, bytes: limits.maxLogGrantBytes })
    await pass(300)
  }
  const lines = sent.filter((entry) => entry.kind === 'line').length
  const lost = sent.reduce((sum, entry) => sum + (entry.kind === 'left-out' ? (entry.lines ?? 0) : 0), 0)
  t.ok(lost > 0)
  t.equal(lines + lost, 1000, 'every line was sent or counted')
  outlet.unsentFrames = 1
  writers.get('aa')?.write(`${stamp(9)} late\n`)
  await pass(500)
  t.notOk(wordsOf(sent).includes('late'), 'and nothing goes while a frame waits for its signature')
  outlet.unsentFrames = 0
  await pass(100)
  t.ok(wordsOf(sent).includes('late'))
  logs.detach()
})

t.test('a follower that falls behind goes on with what is written now, and is told', async (t) => {
  t.teardown(takeOverImmediates())
  const { logs, sent, opened, writers, pass } = scene()
  logs.received(openMessage())
  for (let count = 0; count < 4; count += 1) {
    await pass(11_000)
    writers.get('aa')?.write(`2026-01-01T00:00:01.00000000${count}Z old\n`)
  }
  await pass(1000)
  t.match(opened.at(-1), { how: { since: null, tail: 0 } })
  writers.get('aa')?.write(`2026-01-01T00:00:44.000000000Z new\n`)
  await pass(1000)
  t.same(wordsOf(sent).slice(-2), ['left-out', 'new'])
  t.match(sent.at(-2), { lines: null })
  logs.detach()
})

t.test('what there is is waited for, all of it, and ends', async (t) => {
  t.teardown(takeOverImmediates())
  const { logs, sent, writers, pass } = scene()
  logs.received(openMessage({ isFollowed: false, grant: 0 }))
  await pass(100)
  for (let count = 0; count < 500; count += 1)
    writers.get('aa')?.write(`${stamp(count)} ${'x'.repeat(1000)}\n`)
  writers.get('aa')?.end()
  await pass(5000)
  for (let count = 0; count < 10; count += 1) {
    logs.received({ type: 'logs.grant', stream: 1, bytes: limits.maxLogGrantBytes })
    await pass(300)
  }
  t.equal(sent.filter((entry) => entry.kind === 'line').length, 500)
  t.match(sent.at(-1), { kind: 'done', outcome: 'complete' })
})

t.test('a host refuses by its policy, and says what cannot be read', async (t) => {
  t.teardown(takeOverImmediates())
  const closed = scene({ kind: 'active', policy: hostPolicy.parse({ allow: { logs: false } }) })
  closed.logs.received(openMessage())
  await closed.pass(100)
  t.match(closed.sent, [{ kind: 'done', outcome: 'refused', detail: /does not allow reading logs/ }])
  const open = scene({ kind: 'active', policy: hostPolicy.parse({}) })
  open.engine.refuses = 'configured logging driver does not support reading'
  open.logs.received(openMessage({ isFollowed: false }))
  await open.pass(100)
  t.match(open.sent, [
    { kind: 'begun' },
    { kind: 'unreadable', detail: /does not support reading/ },
    { kind: 'done', outcome: 'complete' }
  ])
  for (let stream = 2; stream < 40; stream += 1) open.logs.received(openMessage({ stream }))
  await open.pass(100)
  const refused = open.sent.find((entry) => entry.kind === 'done' && entry.outcome === 'failed')
  t.match(refused, { detail: /32 logs open/ })
  open.logs.detach()
  const later = scene()
  later.logs.received(openMessage())
  await later.pass(100)
  later.now.policy = { kind: 'invalid', detail: 'no YAML' }
  await later.pass(6000)
  later.writers.get('aa')?.write(`${stamp(1)} secret\n`)
  await later.pass(1000)
  t.match(later.sent, [{ kind: 'begun' }, { kind: 'done', outcome: 'refused', detail: /no YAML/ }])
})
