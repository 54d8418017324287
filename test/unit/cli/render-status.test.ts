// What `longshore status` says to people.
import t from 'tap'
import type { StatusView } from '../../../packages/controller/src/api/schemas.ts'
import { renderStatus } from '../../../packages/controller/src/cli/render-status.ts'
import { createColors } from '../../../packages/controller/src/cli/state-colors.ts'

const nowMs = 1_700_000_000_000
const plain = createColors(false)
const view = (change: Partial<StatusView> = {}): StatusView => ({
  environment: 'wip' as StatusView['environment'],
  service: 'web' as StatusView['service'],
  release: 3,
  tag: '1.0',
  digest: `sha256:${'a'.repeat(64)}` as StatusView['digest'],
  deployment: null,
  lock: null,
  freeze: null,
  hosts: [],
  ...change
})
const waiting = { tries: 2, triesMax: 5, nextAtMs: nowMs + 14_000, reason: 'no room', isGivenUp: false }
const render = (change: Partial<StatusView>) => renderStatus([view(change)], plain, nowMs).split('\n')

t.test('says where images came from, where there is room for it', async (t) => {
  const hosts: StatusView['hosts'] = [
    { host: 'a', state: 'running', release: 3, source: 'mirror:mirror.test' },
    { host: 'b', state: 'running', release: 3, source: null },
    { host: 'c', state: 'running', release: 3 }
  ]
  const lines = renderStatus([view({ hosts })], plain, nowMs, 100).split('\n')
  t.same(lines.slice(1, -1), [
    '  HOST  STATE    RELEASE  IMAGE FROM          DRIFT',
    '  a     running  3        mirror:mirror.test',
    '  b     running  3        on the host',
    '  c     running  3        -'
  ])
  t.notMatch(renderStatus([view({ hosts })], plain, nowMs, 99), /IMAGE FROM/)
  t.notMatch(
    renderStatus([view({ hosts: hosts.slice(2) })], plain, nowMs, 200),
    /IMAGE FROM/,
    'nothing is known'
  )
})

t.test('says how hosts differ and what is done about it', async (t) => {
  const lines = render({
    hosts: [
      { host: 'a', state: 'running', release: 3 },
      {
        host: 'b',
        state: 'missing',
        release: null,
        drift: 'runs nothing',
        driftKind: 'missing',
        convergence: waiting
      },
      {
        host: 'c',
        state: 'running',
        release: 2,
        drift: 'runs release 2',
        driftKind: 'stale',
        convergence: { ...waiting, nextAtMs: null, reason: null }
      },
      {
        host: 'd',
        state: 'stopped',
        release: 3,
        drift: 'is stopped',
        driftKind: 'changed',
        convergence: { ...waiting, tries: 5, nextAtMs: null, isGivenUp: true }
      }
    ]
  })
  t.same(lines, [
    'web in wip: release 3 (1.0 sha256:aaaaaaaaaaaa)',
    '  HOST  STATE    RELEASE  DRIFT                  CONVERGENCE',
    '  a     running  3',
    '  b     missing  -        missing: runs nothing  converging, try 2 of 5 failed, next in 14s: no room',
    '  c     running  2        stale: runs release 2  converging, try 2 of 5',
    '  d     stopped  3        changed: is stopped    cannot converge: no room',
    ''
  ])
})

t.test('says who holds a service, and why', async (t) => {
  const lines = render({
    lock: {
      deployment: 'dep_00000000000000000001' as NonNullable<StatusView['deployment']>,
      holder: 'jenkins',
      sinceMs: nowMs,
      reason: 'build 12',
      isPaused: true
    },
    freeze: { service: null, holder: 'ann', sinceMs: nowMs, reason: 'inventory' }
  })
  t.same(lines.slice(1), [
    '  being deployed by jenkins since 2023-11-14T22:13:20Z (dep_00000000000000000001, paused): build 12',
    '  locked with its environment by ann since 2023-11-14T22:13:20Z: inventory',
    '  no hosts',
    ''
  ])
})

t.test('does not call missing what nobody wants there', async (t) => {
  const none = { release: null, tag: null, digest: null }
  const hosts: StatusView['hosts'] = [{ host: 'a', state: 'missing', release: null }]
  t.same(render({ ...none, hosts }), [
    'web in wip: no release',
    '  HOST  STATE  RELEASE  DRIFT',
    '  a     none   -',
    ''
  ])
  const coloured = createColors(true)
  const [, , row] = renderStatus([view({ ...none, hosts })], coloured, nowMs).split('\n')
  t.notOk(row?.includes(coloured.red('none')))
  const [, , wanted] = renderStatus(
    [view({ hosts: [{ host: 'a', state: 'missing', release: null, driftKind: 'missing', drift: 'gone' }] })],
    coloured,
    nowMs
  ).split('\n')
  t.ok(wanted?.includes(coloured.red('missing')))
})

const figures = {
  requestsPerSecond: 41.2,
  errorsPerSecond: 0.1,
  errorRatio: 0.0024,
  sessions: 14,
  upgraded: 2,
  latencyMs: 3.5
}

t.test('says how much traffic there is, of the service and of each host that told of it', async (t) => {
  const idle = { ...figures, requestsPerSecond: 0, errorsPerSecond: 0, errorRatio: null }
  const lines = render({
    traffic: figures,
    hosts: [
      {
        host: 'a',
        state: 'running',
        release: 3,
        traffic: { ...figures, requestsPerSecond: 4.04, errorRatio: 1e-6 }
      },
      { host: 'b', state: 'running', release: 3, traffic: idle },
      { host: 'c', state: 'silent', release: 3, drift: 'is silent', driftKind: 'unknown' }
    ]
  })
  t.same(lines, [
    'web in wip: release 3 (1.0 sha256:aaaaaaaaaaaa), 41 requests/s, 0.2 % errors',
    '  HOST  STATE    RELEASE  TRAFFIC                      DRIFT',
    '  a     running  3        4 requests/s, <0.1 % errors',
    '  b     running  3        0 requests/s',
    '  c     silent   3        -                            unknown: is silent',
    ''
  ])
})

t.test('says where HAProxy is down', async (t) => {
  const proxy = { state: 'down', version: null, detail: 'it was\u0007 killed' } as const
  const up = { state: 'running', version: '2.6.12', detail: '' } as const
  const lines = render({
    hosts: [
      { host: 'a', state: 'running', release: 3, proxy },
      { host: 'b', state: 'running', release: 3, proxy: up }
    ]
  })
  t.equal(lines[1], '  HAProxy on a is down: it was  killed')
  t.notOk(lines.some((line) => line.includes('on b is')))
})
