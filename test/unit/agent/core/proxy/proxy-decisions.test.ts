import * as fc from 'fast-check'
import t from 'tap'
import {
  isNewEnough,
  readInfo,
  readProcesses,
  readSessions,
  readStat,
  readVersion
} from '../../../../../packages/agent/src/core/proxy/answers.ts'
import {
  countOnOldWorker,
  lastRequestMs,
  stoppingTimes
} from '../../../../../packages/agent/src/core/proxy/attachments.ts'
import { wantedBackends } from '../../../../../packages/agent/src/core/proxy/backends.ts'
import { findPortConflicts } from '../../../../../packages/agent/src/core/proxy/conflicts.ts'
import {
  type CountMemory,
  figuresOf,
  foldWorkers,
  rememberCounts
} from '../../../../../packages/agent/src/core/proxy/figures.ts'
import {
  backendName,
  frontendName,
  frontendOf,
  isBackendOf,
  serverName,
  upgradedName
} from '../../../../../packages/agent/src/core/proxy/names.ts'
import { findDifferences, planSwitch } from '../../../../../packages/agent/src/core/proxy/plan-switch.ts'
import { renderConfig, renderShape } from '../../../../../packages/agent/src/core/proxy/render-config.ts'
import { serviceRoute, storedRoutes } from '../../../../../packages/agent/src/core/proxy/route-schema.ts'
import { idOf, routeOf } from '../../../../support/haproxy.ts'
import { runtimeOf, statOf } from '../../../../support/haproxy-model.ts'

const settings = {
  adminSocket: "/data/it's/admin.sock",
  hasIpv6: true,
  user: 'haproxy',
  pemOf: ({ certificate }: { certificate: string }) => `/data/tls/${certificate.length}.pem`
}
const a = { id: idOf('a'), address: '172.30.77.10' }
const b = { id: idOf('b'), address: '172.30.77.11' }
const anywhere = { hostIp: null, published: 80, target: 3000 }
const web = { ...routeOf(80, 3000, [a]), ports: [anywhere] }

t.test('a published port has a frontend, and a pair of backends for http', async (t) => {
  const text = renderConfig([web], settings, 'abc')
  t.match(text, `frontend 'port:80' from http\n  bind :::80 v4v6\n  option idle-close-on-response\n`)
  t.match(
    text,
    `  use_backend 'staging:web:80_up' if { req.hdr(upgrade) -m found }\n  default_backend 'staging:web:80'\n`
  )
  t.match(
    text,
    `backend 'staging:web:80' from http\n  http-reuse never\n  option http-server-close\n  server '${serverName(a.id)}' 172.30.77.10:3000\n`
  )
  t.match(text, `backend 'staging:web:80_up' from http\n`)
  t.match(text, `stats socket '/data/it'\\''s/admin.sock' mode 600 level admin expose-fd listeners`)
  t.match(text, `description 'longshore abc'`)
  t.notMatch(text, 'maxconn')
  t.match(renderConfig([web], { ...settings, hasIpv6: false }, ''), '  bind *:80\n')
})

t.test('mode tcp has one backend, pooling and the PROXY protocol their options', async (t) => {
  const tcp = renderConfig(
    [{ ...web, routing: { ...web.routing, mode: 'tcp', hasProxyProtocol: true } }],
    settings,
    ''
  )
  t.match(tcp, `frontend 'port:80' from tcp\n  bind :::80 v4v6\n  default_backend 'staging:web:80'\n`)
  t.match(tcp, `172.30.77.10:3000 send-proxy-v2\n`)
  t.notMatch(tcp, '_up')
  const pooled = renderConfig([{ ...web, routing: { ...web.routing, isPooled: true } }], settings, '')
  t.match(pooled, `backend 'staging:web:80' from http\n  http-reuse safe\n  server`)
  t.match(pooled, '172.30.77.10:3000 pool-max-conn 100 pool-purge-delay 1s\n')
})

t.test('services share a port by hosts, and every certificate is on it', async (t) => {
  const routing = { ...web.routing, hosts: ['a.example'], tls: [{ certificate: '/a', key: null }] }
  const other = { ...routing, hosts: ['b.example', 'c.example'], tls: [{ certificate: '/bb', key: null }] }
  const text = renderConfig(
    [
      { ...web, routing },
      { ...routeOf(80, 1, [], {}, 'web-2'), ports: [anywhere], routing: other }
    ],
    settings,
    ''
  )
  t.match(text, "bind :::80 v4v6 ssl crt '/data/tls/2.pem' crt '/data/tls/3.pem' alpn h2,http/1.1\n")
  t.match(text, "set-var(txn.backend) 'str(staging:web:80)' if { var(txn.host) -m str -- 'a.example' }\n")
  t.match(text, "-m str -- 'b.example' 'c.example' }\n")
  t.match(text, 'return status 404')
  t.equal(text.match(/^frontend /gm)?.length, 1)
})

t.test('servers are no part of the shape, everything else is', async (t) => {
  const shape = renderShape([web], settings)
  t.equal(renderShape([{ ...web, containers: [a, b] }], settings), shape)
  t.not(renderShape([{ ...web, routing: { ...web.routing, isPooled: true } }], settings), shape)
  t.not(renderShape([{ ...web, ports: [{ ...anywhere, published: 81 }] }], settings), shape)
})

t.test('no text from outside begins a line or a word of its own in the configuration', async (t) => {
  t.throws(() =>
    renderConfig([{ ...web, routing: { ...web.routing, hosts: ['a\nuser root'] } }], settings, '')
  )
  for (const wrong of [
    { ...web, routing: { ...web.routing, hosts: ["a' }\n"] } },
    { ...web, routing: { ...web.routing, tls: [{ certificate: '/a\n', key: null }] } },
    { ...web, containers: [{ id: a.id, address: '1.2.3.4:80 disabled' }] },
    { ...web, containers: [{ id: 'x; shutdown', address: '1.2.3.4' }] },
    { ...web, ports: [{ ...anywhere, hostIp: '1.2.3.4:80 ssl' }] }
  ])
    t.notOk(serviceRoute.safeParse(wrong).success)
  t.ok(serviceRoute.safeParse(web).success)
  t.notOk(storedRoutes.safeParse({ version: 2, routes: [] }).success)
  await fc.assert(
    fc.property(fc.string(), (text) => {
      const path = { ...settings, adminSocket: text }
      if (/\p{Cc}/u.test(text)) t.throws(() => renderConfig([], path, ''))
      else t.match(renderConfig([], path, ''), `stats socket '${text.replaceAll("'", "'\\''")}' mode 600`)
    }),
    { numRuns: 50 }
  )
})

t.test('names lead back to their service and to no other', async (t) => {
  const key = { environment: web.environment, service: web.service }
  const name = backendName(key, { ...anywhere, hostIp: '::1' })
  t.equal(name, 'staging:web:80:::1')
  t.equal(frontendOf(upgradedName(name)), frontendName({ hostIp: '::1', published: 80 }))
  t.ok(isBackendOf(key, name))
  t.notOk(isBackendOf(routeOf(80, 1, [], {}, 'we'), name))
})

t.test('a port is refused with the reason, and what to change', async (t) => {
  const other = { ...web, ...routeOf(80, 1, [], {}, 'api'), ports: [anywhere] }
  const hosts = (route: typeof web, ...names: string[]) => ({
    ...route,
    routing: { ...route.routing, hosts: names }
  })
  const tls = {
    ...hosts(other, 'b'),
    routing: { ...hosts(other, 'b').routing, tls: [{ certificate: '/c', key: null }] }
  }
  t.match(findPortConflicts(web, [other]), [/^port 80 is served for api of staging, and is shared only by/])
  t.match(findPortConflicts(hosts(web, 'a'), [other]), [/shared only by services that each name/])
  t.match(findPortConflicts(hosts(web, 'a', 'b'), [hosts(other, 'b')]), [/names the host b as well/])
  t.same(findPortConflicts(hosts(web, 'a'), [hosts(other, 'b')]), [])
  t.match(findPortConflicts(hosts(web, 'a'), [tls]), [/with TLS; this service has none/])
  t.match(findPortConflicts({ ...web, routing: { ...web.routing, mode: 'tcp' } }, [other]), [/in mode http/])
  t.match(findPortConflicts({ ...web, ports: [{ ...anywhere, hostIp: '127.0.0.1' }] }, [other]), [
    /another address/
  ])
  t.match(findPortConflicts({ ...web, ports: [anywhere, { ...anywhere, target: 1 }] }, []), [
    /publishes port 80 twice/
  ])
  t.same(findPortConflicts(web, [web]), [], 'itself is no other')
})

t.test('additions come first, withdrawals after them, and nothing where nothing differs', async (t) => {
  const wanted = wantedBackends({ ...web, containers: [b] })
  const seen = statOf(wantedBackends(web))
  const plan = planSwitch(wanted, seen)
  const [name, former] = [serverName(b.id), serverName(a.id)]
  t.same(plan.additions, [
    ['staging:web:80', 'staging:web:80_up']
      .map(
        (backend) =>
          `add server ${backend}/${name} 172.30.77.11:3000; set server ${backend}/${name} state ready`
      )
      .join('; ')
  ])
  t.same(plan.withdrawals, [
    `set server staging:web:80/${former} state drain; set server staging:web:80_up/${former} state drain`
  ])
  t.match(findDifferences(wanted, seen), [
    /gets no traffic/,
    /gets traffic/,
    /gets no traffic/,
    /gets traffic/
  ])
})

t.test('from whatever is seen, the calls lead to what is wanted, and once there are none', async (t) => {
  const address = fc.integer({ min: 10, max: 14 }).map((last) => `172.30.77.${last}`)
  const container = fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd', 'e').map(idOf), address })
  const containers = fc.uniqueArray(container, { selector: ({ id }) => id, maxLength: 5 })
  const state = fc.constantFrom('ready', 'drain', 'maint')
  await fc.assert(
    fc.property(
      containers,
      containers,
      fc.array(state, { minLength: 10, maxLength: 10 }),
      (before, after, states) => {
        const seen = statOf(wantedBackends({ ...web, containers: before })).map((row, index) => ({
          ...row,
          state: states[index % states.length] ?? ('ready' as const)
        }))
        const wanted = wantedBackends({ ...web, containers: after })
        const runtime = runtimeOf(seen)
        const plan = planSwitch(wanted, seen)
        for (const line of plan.additions) runtime.call(line)
        // no moment without a server, if there was one and is to be one
        if (after.length > 0) t.ok(runtime.rows().some((row) => row.state === 'ready'))
        for (const line of plan.withdrawals) runtime.call(line)
        t.same(findDifferences(wanted, runtime.rows()), [])
        t.same(planSwitch(wanted, runtime.rows()), { additions: [], withdrawals: [] })
      }
    )
  )
})

const procText = `#<PID>          <type>          <reloads>       <uptime>        <version>
28919           master          2 [failed: 1]   0d00h10m28s     2.6.12-1+deb12u4
# workers
17979           worker          0               0d00h00m31s     2.6.12-1+deb12u4
# old workers
28921           worker          1               1d02h00m01s     2.6.12-1+deb12u4
28920           worker          2               2d00h10m28s     2.6.12-1+deb12u4
# programs
`

t.test('listings of HAProxy 2.6.12 are read, and garbage reads as nothing', async (t) => {
  const processes = readProcesses(procText)
  t.same(processes[0], { pid: 28919, kind: 'master', reloads: 2, uptimeMs: 628_000 })
  t.same(stoppingTimes(processes), [
    { pid: 28921, stoppingMs: 31_000 },
    { pid: 28920, stoppingMs: 93_601_000 }
  ])
  t.same(readInfo('Name: HAProxy\nVersion: 2.6.12-1\nPid: 7\ndescription: longshore x\n'), {
    version: '2.6.12-1',
    pid: 7,
    description: 'longshore x'
  })
  t.equal(
    readVersion('HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/'),
    '2.6.12-1+deb12u4'
  )
  t.equal(readVersion('HA-Proxy version 2.2.9-2 2021'), '2.2.9-2')
  t.same(['2.4.22', '2.6.0', '2.10-dev1', '3.0.5', '1.9', 'x'].map(isNewEnough), [
    false,
    true,
    true,
    true,
    false,
    false
  ])
  const session = '0x5576cc044700: proto=tcpv4 src=127.0.0.1:4 fe=port:80 be=staging:web:80_up srv=c1 ts=00\n'
  t.same(
    readSessions(session, (backend, server) => backend === 'staging:web:80_up' && server === 'c1'),
    [{ id: '0x5576cc044700', isUpgraded: true }]
  )
  await fc.assert(
    fc.property(fc.string(), (text) => {
      t.same(readStat(text), [])
      t.same(readProcesses(text), [])
      t.equal(readInfo(text), undefined)
    })
  )
})

t.test('an old worker counts idle clients until none can send a request any more', async (t) => {
  const rows = [
    ...statOf(wantedBackends(web), 1),
    {
      ...statOf([])[0],
      kind: 'frontend',
      mode: 'http',
      proxy: 'port:80',
      server: '',
      sessions: 5,
      state: 'ready'
    } as const
  ]
  t.same(countOnOldWorker(rows, web, [a.id], 0), { requests: 1 + 3, upgraded: 1 })
  t.same(countOnOldWorker(rows, web, [a.id], lastRequestMs), { requests: 1, upgraded: 1 })
  t.same(countOnOldWorker(rows, web, [b.id], 0), { requests: 0, upgraded: 0 }, 'it does not know that one')
})

t.test('counters never go backwards, whatever HAProxy does', async (t) => {
  const memory: CountMemory = new Map()
  const tell = () => figuresOf(web, [a.id], memory, []).requests
  const rows = (total: number) => statOf(wantedBackends(web), 0, total)
  rememberCounts(memory, '1', rows(10))
  t.equal(tell(), 20, 'a backend and its twin')
  rememberCounts(memory, '1', rows(3))
  t.equal(tell(), 26, 'the same process id after a restart')
  rememberCounts(memory, '2', rows(1))
  foldWorkers(memory, ['2'])
  t.equal(tell(), 28)
  await fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('1', '2', '3'), fc.nat(100))), (steps) => {
      const own: CountMemory = new Map()
      let last = 0
      for (const [worker, total] of steps) {
        rememberCounts(own, worker, rows(total))
        foldWorkers(own, [worker])
        const now = figuresOf(web, [], own, []).requests
        t.ok(now >= last)
        last = now
      }
    })
  )
})
