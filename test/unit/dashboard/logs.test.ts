// What the page makes of the events of a log: what is wanted, how far it came, what is kept and how it is shown.
import t from 'tap'
import { createLogCourse } from '../../../packages/controller/src/api/log-course.ts'
import type { LogEvent } from '../../../packages/controller/src/api/schemas.ts'
import { cleanLine } from '../../../packages/dashboard/src/core/clean-line.ts'
import {
  addEvents,
  addNotice,
  emptyBook,
  isFull,
  type LogBook,
  pauseBook,
  resumeBook
} from '../../../packages/dashboard/src/core/log-book.ts'
import { cutAtFinds, fitsIn } from '../../../packages/dashboard/src/core/log-search.ts'
import {
  hostsOfService,
  mayReadSomeLogs,
  readableServices
} from '../../../packages/dashboard/src/core/log-sources.ts'
import {
  askFirst,
  defaultWish,
  type LogWish,
  logPath,
  parseSpan,
  readWish,
  writeWish
} from '../../../packages/dashboard/src/core/log-wish.ts'
import { readLogChunk } from '../../../packages/dashboard/src/core/read-log-stream.ts'

const atMs = Date.parse('2026-01-01T00:00:00.000Z')
const event = (rest: object, ms = 0): LogEvent =>
  ({ at: new Date(atMs + ms).toISOString(), ...rest }) as unknown as LogEvent
const line = (host: string, second: number, text: string, more: object = {}): LogEvent => {
  const time = `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`
  const rest = { container: `c-${host}`, index: 0, from: 'stdout', time, text, isCut: false, ...more }
  return event({ type: 'line', host, ...rest }, second * 1000)
}
const hostIs = (host: string, state: string, ms: number, detail = ''): LogEvent =>
  event({ type: 'host', host, state, detail }, ms)
const begun = (host: string, container: string, index: number): LogEvent =>
  event({
    type: 'container',
    host,
    container,
    state: 'begun',
    name: container,
    release: 3,
    index,
    detail: ''
  })
const rowsOf = ({ shown }: LogBook): string[] =>
  shown.blocks.flatMap(({ rows }) =>
    rows.map((row) => (row.kind === 'line' ? `${row.prefix} | ${row.text}` : `-- ${row.text}`))
  )

t.test('what is wanted goes into an address and comes back; nonsense is left out', async (t) => {
  const wishes: LogWish[] = [
    defaultWish,
    { hosts: ['web-1', 'web 2&'], since: '1h30m', tail: null, grep: 'a=b&c #1 ?', isFollowed: false },
    { ...defaultWish, tail: 5 }
  ]
  for (const wish of wishes) t.same(readWish(writeWish(wish)), wish)
  t.equal(writeWish(defaultWish), '')
  for (const nonsense of ['tail=-1', 'tail=x', 'since=10', 'since=0s', 'host=', 'follow=yes'])
    t.same(readWish(nonsense), defaultWish, nonsense)
  t.same(['90s', '1h30m', '7d', '10', '0s', '', '5 m'].map(parseSpan), [
    90_000,
    5_400_000,
    604_800_000,
    null,
    null,
    null,
    null
  ])
})

t.test('the controller is asked as the address says, and again from shortly before', async (t) => {
  const wish = { hosts: ['web-1', 'web-2'], since: '10m', tail: 50, grep: 'x', isFollowed: true }
  const first = askFirst({ environment: 'staging', service: 'api', wish }, atMs)
  const query = (path: string) => Object.fromEntries(new URLSearchParams(path.split('?')[1]))
  const named = { environment: 'staging', service: 'api', host: 'web-1,web-2', follow: 'true', grep: 'x' }
  t.same(query(logPath(first)), { ...named, sinceMs: String(atMs - 600_000), tail: '50' })
  const course = createLogCourse()
  t.equal(course.askAgain(), null, 'nothing came: the same is asked once more')

  const news = [
    hostIs('web-1', 'reading', 0),
    line('web-1', 1, 'one'),
    // the host's clock was set back: nothing of it is lost
    line('web-1', 0, 'earlier'),
    line('web-1', 2, 'two'),
    line('web-2', 2, 'two'),
    hostIs('web-2', 'lost', 3000),
    line('web-1', 30, 'late')
  ].filter(course.take)
  t.equal(news.length, 7)
  t.equal(course.askAgain(), atMs + 3000 - 10_000, 'from when a host was lost')
  const repeated = [
    line('web-1', 2, 'two'),
    line('web-1', 30, 'late'),
    line('web-1', 31, 'new'),
    line('web-2', 2, 'two'),
    line('web-2', 3, 'meanwhile'),
    line('web-2', 3, 'at the same moment'),
    line('web-1', 1, 'without a time', { time: null })
  ].filter(course.take)
  t.same(
    repeated.map((one) => one.type === 'line' && one.text),
    ['new', 'meanwhile', 'at the same moment', 'without a time']
  )
})

t.test('a stream is read however it is cut', async (t) => {
  const text = 'data: {"a":1}\n\n: still here\n\ndata: {"b":"\\n"}\n\n'
  for (let at = 0; at <= text.length; at += 1) {
    const one = readLogChunk('', text.slice(0, at))
    const other = readLogChunk(one.rest, text.slice(at))
    t.same([...one.data, ...other.data], ['{"a":1}', '{"b":"\\n"}'])
    t.equal(other.rest, '')
  }
  t.throws(() => readLogChunk('', `data: ${'x'.repeat(2 ** 21)}`), RangeError)
})

t.test('lines stand behind their hosts, with replicas where there are several', async (t) => {
  const two = { container: 'two', index: 1 }
  const book = addEvents(emptyBook, [
    hostIs('web-1', 'reading', 0),
    begun('web-1', 'one', 0),
    line('web-1', 1, 'alone', { container: 'one' }),
    begun('web-1', 'two', 1),
    line('web-1', 2, '\u001b[31mred\u001b[0m\ttab', { ...two, from: 'stderr' }),
    line('web-2', 2, 'other'),
    event({ type: 'left-out', host: 'web-2', container: 'c', lines: null }),
    event({ type: 'left-out', host: 'web-2', container: 'c', lines: 1 }),
    event({
      type: 'container',
      host: 'web-2',
      state: 'unreadable',
      detail: 'none keeps nothing',
      container: 'c9'
    }),
    event({ type: 'container', host: 'web-1', state: 'ended', detail: '', ...two }),
    hostIs('web-2', 'not-connected', 3000, 'its agent is not connected'),
    hostIs('web-2', 'refused', 3000, 'by its policy'),
    // after a lost connection: known already
    begun('web-1', 'one', 0),
    line('web-1', 3, 'alone again', { container: 'one' }),
    hostIs('web-1', 'complete', 4000),
    event({ type: 'end' })
  ])
  t.same(rowsOf(book), [
    '-- web-1: container one of release 3',
    'web-1 | alone',
    '-- web-1: container two of release 3',
    'web-1/2 | red\ttab',
    'web-2 | other',
    '-- web-2: more lines than were counted left out, too much was written',
    '-- web-2: 1 line left out, too much was written',
    '-- web-2: nothing can be read of container c9: none keeps nothing',
    '-- web-1: container two has stopped',
    '-- web-2: its agent is not connected',
    '-- web-2: refused: by its policy',
    'web-1 | alone again',
    '-- Nothing more comes from any host.'
  ])
  t.same(
    [...book.hosts].map(([name, { number, state }]) => [name, number, state]),
    [
      ['web-1', 0, 'complete'],
      ['web-2', 1, 'refused']
    ]
  )
  t.same(rowsOf(addNotice(emptyBook, 'said')), ['-- said'])
  t.equal(book.shown.lines, 4)
  t.equal(emptyBook.shown.rows, 0, 'what was there before is not touched')
})

t.test('what waits while it is paused comes afterwards, and there is an end to it', async (t) => {
  const many = (count: number, text = 'x') => Array.from({ length: count }, () => line('web-1', 1, text))
  const paused = addEvents(pauseBook(addEvents(emptyBook, many(3))), many(250, 'y'))
  t.same([paused.shown.rows, paused.waiting.rows, isFull(paused)], [3, 250, false])
  const on = resumeBook(paused)
  t.same([on.shown.rows, on.waiting.rows], [253, 0])
  t.same(
    on.shown.blocks.map(({ rows }) => rows.length),
    [100, 100, 53]
  )
  const keys = on.shown.blocks.flatMap(({ rows }) => rows.map(({ key }) => key))
  t.equal(new Set(keys).size, 253)
  t.equal(isFull(addEvents(paused, many(4750))), true, 'by lines')
  t.equal(isFull(addEvents(paused, many(150, 'x'.repeat(16_000)))), true, 'by size')
  t.equal(isFull(addEvents(emptyBook, many(5000))), false, 'only while it is paused')
})

t.test('the page keeps so many lines, and says how many older ones are gone', async (t) => {
  let book = emptyBook
  for (let second = 0; second < 60; second += 1)
    book = addEvents(
      book,
      Array.from({ length: 130 }, () => line('web-1', second, 'x'))
    )
  t.equal(book.shown.rows + book.shown.dropped, 60 * 130)
  t.ok(book.shown.rows <= 5000)
  t.ok(book.shown.rows > 4800)
  const long = Array.from({ length: 1000 }, () => line('web-1', 1, 'x'.repeat(16_000)))
  const large = addEvents(emptyBook, long)
  t.ok(large.shown.chars <= 4 * 1024 * 1024)
  t.equal(large.shown.rows + large.shown.dropped, 1000)
})

t.test('a line cannot paint, reorder or hide', async (t) => {
  t.equal(cleanLine('plain \t text'), 'plain \t text')
  t.equal(cleanLine('\u001b[1;31mred\u001b[0m \u001b[2Kgone? \u001b[?25l'), 'red gone? ')
  t.equal(cleanLine('a\rb\u0000c\u202ed\u200be\u2028f\u2029g'), 'a b c d e f g')
  t.equal(cleanLine('\u001b]0;title that stays'), ' ]0;title that stays')
  t.equal(cleanLine('größe 漢字'), 'größe 漢字')
})

t.test('lines are searched whatever the size of letters', async (t) => {
  t.same(cutAtFinds('Error: no error', 'error'), ['', 'Error', ': no ', 'error', ''])
  t.same(cutAtFinds('nothing', 'error'), ['nothing'])
  t.same(cutAtFinds('İerror', 'error'), ['İerror'])
  const book = addEvents(emptyBook, [line('web-1', 1, 'An Error'), line('web-1', 2, 'fine')])
  t.same(
    ['error', '', 'fine', 'error'].map((needle) => fitsIn(book.shown, needle)),
    [1, 2, 1, 1]
  )
})

t.test('only what may be read is offered, on the hosts where it is', async (t) => {
  const status = (environment: string, service: string, ...hosts: string[]) => ({
    environment,
    service,
    hosts: hosts.map((host) => ({ host }))
  })
  const statuses = [
    status('staging', 'web', 'web-2', 'web-1'),
    status('staging', 'api'),
    status('production', 'web', 'shop-1')
  ] as unknown as Parameters<typeof readableServices>[0]
  t.same(readableServices(statuses, ['logs:staging/*', 'read:*/*']), [
    { environment: 'staging', services: ['api', 'web'] }
  ])
  t.equal(mayReadSomeLogs(['read:*/*']), false)
  t.equal(mayReadSomeLogs(['logs:staging/web']), true)
  t.equal(mayReadSomeLogs(['*:staging/web']), true)
  const agent = (name: string, environment: string) => ({
    name,
    environment,
    inventory: { containers: [{ environment: 'staging', service: 'web' }] }
  })
  const agents = [agent('web-3', 'staging'), agent('web-4', 'production')] as never
  t.same(hostsOfService(statuses, agents, { environment: 'staging', service: 'web' }), [
    'web-1',
    'web-2',
    'web-3'
  ])
})
