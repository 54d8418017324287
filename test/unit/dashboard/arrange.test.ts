// What of a large fleet is shown, in which order, and which rows of it are in the document.
import t from 'tap'
import { arrangeGrids } from '../../../packages/dashboard/src/core/arrange-grid.ts'
import {
  arrangeHosts,
  countStates,
  type HostWish
} from '../../../packages/dashboard/src/core/arrange-hosts.ts'
import { arrangeTargets } from '../../../packages/dashboard/src/core/arrange-targets.ts'
import { rowAfterKey, scrollToRow, visibleRows } from '../../../packages/dashboard/src/core/visible-rows.ts'

type Agents = Parameters<typeof arrangeHosts>[0] extends Iterable<infer A> ? A[] : never
const host = (name: string, change: object = {}) => ({
  id: name,
  name,
  environment: 'staging',
  state: 'connected',
  lastSeenAtMs: 1,
  labels: { zone: 'a' },
  agentVersion: '1.0.0',
  inventory: null,
  ...change
})
const agents = [
  host('web-10'),
  host('web-2', { state: 'silent', labels: { zone: 'b' } }),
  host('db-1', { environment: 'production', state: 'silent', lastSeenAtMs: null }),
  host('web-1', { inventory: { containers: [{ service: 'api' }] } })
] as unknown as Agents
const wish: HostWish = { text: '', environment: null, state: null, groupBy: 'nothing' }
const shown = (change: Partial<HostWish>): string[] =>
  arrangeHosts(agents, { ...wish, ...change }).map((row) =>
    row.kind === 'host' ? row.agent.name : `${row.title}: ${row.count}`
  )

t.test('hosts are filtered by every word and label, and grouped', async (t) => {
  t.same(shown({}), ['db-1', 'web-1', 'web-2', 'web-10'], 'numbers in their order')
  t.same(shown({ text: 'WEB zone=a' }), ['web-1', 'web-10'])
  t.same(shown({ text: 'zone=' }), [], 'a label is a whole one')
  t.same(shown({ text: 'api' }), ['web-1'], 'by what runs there')
  t.same(shown({ environment: 'production' }), ['db-1'])
  t.same(shown({ state: 'silent' }), ['web-2'], 'never seen is another state')
  t.same(shown({ groupBy: 'environment' }), [
    'production: 1',
    'db-1',
    'staging: 3',
    'web-1',
    'web-2',
    'web-10'
  ])
  t.same(shown({ groupBy: 'state' }), [
    'connected: 2',
    'web-1',
    'web-10',
    'silent: 1',
    'web-2',
    'never seen: 1',
    'db-1'
  ])
  t.same(countStates(agents), { connected: 2, silent: 1, 'never seen': 1, held: 0, revoked: 0 })
})

t.test('a grid names its hosts while they fit, else counts them and names those not well', async (t) => {
  type Statuses = Parameters<typeof arrangeGrids>[0]
  const status = (service: string, hosts: object[]) => ({ environment: 'staging', service, hosts })
  const on = (name: string, change: object = {}) => ({ host: name, state: 'running', release: 1, ...change })
  const few = [status('api', [on('b'), on('a', { drift: 'old' })]), status('web', [on('b')])]
  const [empty, grid] = arrangeGrids(few as unknown as Statuses, ['empty'])
  t.match(empty, { environment: 'empty', rows: [] })
  t.match(grid, {
    hosts: ['a', 'b'],
    rows: [
      { well: 1, unwell: [{ host: 'a' }], cells: [{ host: 'a' }, { host: 'b' }] },
      { well: 1, unwell: [], cells: [undefined, { host: 'b' }] }
    ]
  })
  const many = [
    status(
      'api',
      Array.from({ length: 13 }, (_, index) => on(`h${index}`))
    )
  ]
  t.match(arrangeGrids(many as unknown as Statuses, []), [{ hosts: null, rows: [{ well: 13, cells: [] }] }])
})

t.test('batches come in their order, and of too many hosts those that need a look', async (t) => {
  type Deployment = Parameters<typeof arrangeTargets>[0]
  const target = (index: number, batch: number | null, state: string) => ({
    service: 'api',
    host: `h${index}`,
    batch,
    state
  })
  const of = (targets: object[]) =>
    ({ services: [{ service: 'api' }], batch: 1, phase: 'rolling', targets }) as unknown as Deployment
  const few = [target(1, null, 'ready'), target(2, 2, 'ready'), target(3, 1, 'releasing')]
  t.match(arrangeTargets(of(few), ''), [
    { batch: 1, isNow: true, targets: [{ host: 'h3' }] },
    { batch: 2, isNow: false },
    { batch: null, isNow: false }
  ])
  t.match(arrangeTargets(of(few), 'releas'), [{ batch: 1, leftOut: 0 }])
  const many = Array.from({ length: 300 }, (_, index) => target(index, 1, index === 299 ? 'failed' : 'ready'))
  const [batch] = arrangeTargets(of(many), '')
  t.equal(batch?.targets[0]?.host, 'h299')
  t.equal(batch?.leftOut, 100)
})

t.test(
  'rows in sight are in the document, some more for the keyboard, and the one with the focus',
  async (t) => {
    const list = { scrollTop: 0, height: 100, rowHeight: 10, count: 2000, focused: null }
    t.same(
      visibleRows(list),
      Array.from({ length: 16 }, (_, index) => index)
    )
    t.equal(visibleRows({ ...list, scrollTop: 19_900 }).at(-1), 1999)
    t.equal(visibleRows({ ...list, scrollTop: 5000, focused: 3 })[0], 3)
    t.equal(visibleRows({ ...list, focused: 1500 }).at(-1), 1500)
    t.same(visibleRows({ ...list, count: 0, focused: 2 }), [])
    t.equal(rowAfterKey('ArrowDown', -1, 9, 20), 0)
    t.equal(rowAfterKey('ArrowUp', 0, 9, 20), 0)
    t.equal(rowAfterKey('PageDown', 15, 9, 20), 19)
    t.equal(rowAfterKey('End', 0, 9, 20), 19)
    t.equal(rowAfterKey('Home', 7, 9, 20), 0)
    t.equal(rowAfterKey('a', 7, 9, 20), null)
    t.equal(scrollToRow(50, list), 410)
    t.equal(scrollToRow(2, { ...list, scrollTop: 100 }), 20)
    t.equal(scrollToRow(12, { ...list, scrollTop: 100 }), 100)
  }
)
