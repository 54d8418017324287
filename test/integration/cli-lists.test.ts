// The real `longshore` process: tokens alone on stdout, lists as text and JSON, usage errors, speed of what is light.
import { execFile } from 'node:child_process'
import t from 'tap'
import { startNode } from '../../scripts/hosts/programs.ts'
import { environmentFor } from '../support/cli-process.ts'
import { json, problem, type StandIn, startStandIn } from '../support/controller-stand-in.ts'

const main = new URL('../../packages/controller/src/cli/main.ts', import.meta.url).pathname
const nowMs = Date.now()

// some forty processes, one after the other: on a machine that does other work too
t.setTimeout(180_000)

let standIn: StandIn
t.before(async () => {
  standIn = await startStandIn()
})
t.teardown(() => standIn.stop())

type Ended = { code: number; out: string; err: string }

const run = (args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const settings = {
      ...environmentFor(standIn.url),
      LONGSHORE_TOKEN: 'secret',
      ...env
    }
    const child = execFile(
      'env',
      [...startNode, main, ...args],
      { env: settings, maxBuffer: 64_000_000 },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, out, err })
    )
    child.stdin?.end()
  })

t.test('created tokens stand alone on stdout', async (t) => {
  const id = 'tok_00000000000000000001'
  standIn.on('POST /v1/join-tokens', (response) => json(response, 201, { id, token: 'join.me' }))
  standIn.on('POST /v1/api-tokens', (response) => json(response, 201, { id, token: 'use.me' }))
  const join = await run([
    'join-token',
    'create',
    '--env',
    'wip',
    '--label',
    'a=1',
    '--label',
    'b=2',
    '--ttl',
    '2h',
    '--uses',
    '3'
  ])
  t.match(join, { code: 0, out: /^join\.me\n$/, err: new RegExp(id) })
  t.same(standIn.asked.at(-1)?.body, {
    environment: 'wip',
    labels: { a: '1', b: '2' },
    ttlMs: 7_200_000,
    uses: 3,
    replace: false
  })
  const api = await run([
    'api-token',
    'create',
    '--name',
    'ci',
    '--allow',
    'deploy:wip/*',
    '--allow',
    'read:*/*'
  ])
  t.match(api, { code: 0, out: /^use\.me\n$/ })
  t.same(standIn.asked.at(-1)?.body, { name: 'ci', allow: ['deploy:wip/*', 'read:*/*'], ttlMs: null })
})

t.test('agents are listed as a table and in the shape that scripts read', async (t) => {
  const agent = {
    id: 'agt_00000000000000000001',
    name: 'web-1',
    environment: 'wip',
    state: 'silent',
    reason: 'not heard of for 2 minutes',
    labels: { role: 'web' },
    agentVersion: '0.1.0',
    lastSeenAtMs: nowMs - 120_000,
    lastSeenAt: new Date(nowMs - 120_000).toISOString(),
    connectedSinceMs: null,
    enrolledAtMs: nowMs,
    clockSkewMs: 0,
    facts: null,
    policy: null,
    inventory: null,
    inventoryAtMs: null
  }
  standIn.on('GET /v1/agents?environment=wip', (response) => json(response, 200, [agent]))
  const table = await run(['agents', '--env', 'wip'])
  t.match(
    table.out,
    /^HOST +ENVIRONMENT +STATE .*\nweb-1 +wip +silent +2m \d\ds ago +0\.1\.0 .*role=web +not heard of/
  )
  t.notOk(table.out.includes('\u001b'), 'no colours outside of a terminal')
  const document = await run(['agents', '--env', 'wip', '--output', 'json'])
  t.match(JSON.parse(document.out), [
    { name: 'web-1', state: 'silent', labels: { role: 'web' }, agentVersion: '0.1.0' }
  ])
  const line = await run(['agents', '--env', 'wip', '--output', 'ndjson'])
  t.match(JSON.parse(line.out), { type: 'agent', at: /Z$/, name: 'web-1' })
})

t.test('status shows each host and what differs', async (t) => {
  const status = {
    environment: 'wip',
    service: 'web',
    release: 3,
    tag: '1.0',
    digest: `sha256:${'a'.repeat(64)}`,
    deployment: null,
    lock: null,
    freeze: null,
    hosts: [
      { host: 'web-1', state: 'running', release: 3 },
      { host: 'web-2', state: 'missing', release: null, drift: 'runs nothing', driftKind: 'missing' }
    ]
  }
  standIn.on('GET /v1/status?service=web', (response) => json(response, 200, [status]))
  t.equal(
    (await run(['status', 'web'])).out,
    [
      'web in wip: release 3 (1.0 sha256:aaaaaaaaaaaa)',
      '  HOST   STATE    RELEASE  DRIFT',
      '  web-1  running  3',
      '  web-2  missing  -        missing: runs nothing',
      ''
    ].join('\n')
  )
})

t.test('status and agents tell of traffic, and where HAProxy or the engine is down', async (t) => {
  const traffic = {
    requestsPerSecond: 41.2,
    errorsPerSecond: 0.1,
    errorRatio: 0.0024,
    sessions: 14,
    upgraded: 2,
    latencyMs: 3.5
  }
  const proxy = { state: 'down', version: null, detail: 'it was killed' }
  const status = {
    environment: 'wip',
    service: 'fast',
    release: 3,
    tag: '1.0',
    digest: null,
    deployment: null,
    hosts: [
      { host: 'web-1', state: 'running', release: 3, traffic },
      { host: 'web-2', state: 'running', release: 3, proxy }
    ],
    traffic
  }
  standIn.on('GET /v1/status?service=fast', (response) => json(response, 200, [status]))
  const { out } = await run(['status', 'fast'])
  t.match(out, /^fast in wip: release 3 \(1\.0\), 41 requests\/s, 0\.2 % errors\n/)
  t.match(out, /\n {2}HAProxy on web-2 is down: it was killed\n/)
  const document = await run(['status', 'fast', '--output', 'json'])
  t.match(JSON.parse(document.out), [{ traffic, hosts: [{ traffic }, { proxy }] }])
  const inventory = {
    isEngineReachable: true,
    containers: [],
    diskFreeBytes: null,
    diskTotalBytes: null,
    load: null,
    memoryFreeBytes: null,
    proxy
  }
  const agent = {
    id: 'agt_00000000000000000001',
    name: 'web-2',
    environment: 'fast',
    state: 'connected',
    labels: {},
    agentVersion: '0.1.0',
    lastSeenAtMs: nowMs,
    lastSeenAt: new Date(nowMs).toISOString(),
    connectedSinceMs: nowMs,
    enrolledAtMs: nowMs,
    clockSkewMs: 0,
    facts: null,
    policy: null,
    inventory,
    inventoryAtMs: nowMs
  }
  const broken = { ...inventory, isEngineReachable: false }
  const agents = [
    agent,
    { ...agent, name: 'web-3', inventory: broken },
    { ...agent, name: 'web-4', state: 'silent', inventory: broken }
  ]
  standIn.on('GET /v1/agents?environment=fast', (response) => json(response, 200, agents))
  const listed = (await run(['agents', '--env', 'fast'])).out
  t.match(listed, /\nweb-2 .* - +HAProxy is down: it was killed\n/)
  t.match(listed, /\nweb-3 .* its Docker Engine does not answer; HAProxy is down: it was killed\n/)
  t.notMatch(listed, /\nweb-4 .*(Engine|HAProxy)/, 'what it said last may be over')
})

t.test('what a controller of the version before answers is understood', async (t) => {
  // as recorded from it: it knew neither healing, promotion, freezes nor the fields of a lock
  const status = {
    environment: 'wip',
    service: 'web',
    release: 3,
    tag: '1.0',
    digest: `sha256:${'a'.repeat(64)}`,
    deployment: null,
    hosts: [{ host: 'web-1', state: 'running', release: 3 }]
  }
  const release = {
    service: 'web',
    environment: 'wip',
    release: 3,
    repository: 'registry.example/web',
    tag: '1.0',
    digest: `sha256:${'a'.repeat(64)}`,
    specRevision: 1,
    deployment: 'dep_00000000000000000001',
    outcome: 'succeeded',
    isCurrent: true,
    createdAtMs: 0,
    createdBy: 'jenkins'
  }
  standIn.on('GET /v1/status?service=old', (response) => json(response, 200, [status]))
  standIn.on('GET /v1/environments', (response) =>
    json(response, 200, [{ name: 'wip', createdAtMs: 0, agents: 2 }])
  )
  standIn.on('GET /v1/releases?environment=wip&service=old&limit=20', (response) =>
    json(response, 200, [release])
  )
  t.match(await run(['status', 'old']), { code: 0, out: /^web in wip: release 3 / })
  t.match(await run(['environments', 'list']), { code: 0, out: /\nwip +2 +off +- +1970-/ })
  t.match(await run(['releases', 'old', '--env', 'wip']), { code: 0, out: /\n3 \(current\) .* 1 +- +1970/ })
})

t.test('environments are set and shown', async (t) => {
  const wip = { name: 'wip', createdAtMs: 0, agents: 2, heal: true, promotesFrom: 'staging', freeze: null }
  const bodies: unknown[] = []
  standIn.on('PATCH /v1/environments/wip', (response, { body }) => {
    bodies.push(body)
    json(response, 200, wip)
  })
  const set = await run(['environments', 'set', 'wip', '--heal', 'on', '--promotes-from', 'staging'])
  t.match(set, {
    code: 0,
    out: /^ENVIRONMENT +AGENTS +HEAL +PROMOTES FROM +CREATED\nwip +2 +on +staging +1970-/
  })
  await run(['environments', 'set', 'wip', '--promotes-from', 'none'])
  t.same(bodies, [{ heal: true, promotesFrom: 'staging' }, { promotesFrom: null }])
  t.match(await run(['environments', 'set', 'wip']), { code: 2, err: /nothing to set/ })
  t.match(await run(['environments', 'set', 'wip', '--heal', 'maybe']), { code: 2, err: /on, off/ })
  t.equal(bodies.length, 2)
})

t.test('agents are approved, revoked and removed by name, in an environment if asked', async (t) => {
  const answered: [string[], string, string][] = [
    [['approve', 'web-1'], 'POST /v1/agents/web-1/approve', 'agent web-1 is approved\n'],
    [
      ['revoke', 'web-1', '--env', 'wip'],
      'POST /v1/agents/web-1/revoke?environment=wip',
      'agent web-1 is revoked\n'
    ],
    [['remove', 'web-1'], 'DELETE /v1/agents/web-1', 'agent web-1 is removed\n']
  ]
  for (const [args, route, said] of answered) {
    standIn.on(route, (response) => json(response, 200, {}))
    t.same(await run(['agents', ...args]), { code: 0, out: '', err: said })
  }
})

t.test('tokens are listed without their secrets and revoked by id', async (t) => {
  const id = 'tok_00000000000000000001'
  const common = { id, createdAtMs: nowMs, revokedAtMs: null }
  const join = {
    environment: 'wip',
    labels: {},
    replace: false,
    usesMax: 3,
    usesCount: 3,
    expiresAtMs: nowMs + 3_600_000
  }
  const api = { name: 'ci', allow: ['deploy:wip/*'], expiresAtMs: nowMs - 1, lastUsedAtMs: null }
  standIn.on('GET /v1/join-tokens', (response) => json(response, 200, [{ ...common, ...join }]))
  standIn.on('GET /v1/api-tokens', (response) => json(response, 200, [{ ...common, ...api }]))
  t.match((await run(['join-token', 'list'])).out, /^ID .*\ntok_\w+ +wip +used up +3 of 3 /)
  t.match((await run(['api-token', 'list'])).out, /^ID .*\ntok_\w+ +ci +expired +\S+ +never +deploy:wip\/\*/)
  for (const kind of ['join', 'api']) {
    standIn.on(`DELETE /v1/${kind}-tokens/${id}`, (response) => void response.writeHead(204).end())
    t.match(await run([`${kind}-token`, 'revoke', id]), { code: 0, out: '', err: /token tok_\w+ is revoked/ })
  }
})

t.test('releases are listed newest first, the current one marked', async (t) => {
  const release = {
    service: 'web',
    environment: 'wip',
    release: 2,
    repository: 'web',
    tag: '1.1',
    digest: `sha256:${'b'.repeat(64)}`,
    specRevision: 1,
    deployment: 'dep_00000000000000000001',
    outcome: 'succeeded',
    isCurrent: true,
    isKept: true,
    createdAtMs: Date.parse('2026-01-02T03:04:05Z'),
    createdBy: 'ci',
    build: 'jenkins-web-7'
  }
  const failed = {
    ...release,
    build: null,
    release: 3,
    tag: '1.2',
    outcome: 'reverted',
    isCurrent: false,
    isKept: false
  }
  standIn.on('GET /v1/releases?environment=wip&service=web&limit=20', (response) =>
    json(response, 200, [failed, release])
  )
  t.equal(
    (await run(['releases', 'web', '--env', 'wip'])).out,
    [
      'RELEASE      OUTCOME    TAG  DIGEST               SPEC  KEPT  CREATED               BY  BUILD',
      '3            reverted   1.2  sha256:bbbbbbbbbbbb  1     no    2026-01-02T03:04:05Z  ci  -',
      '2 (current)  succeeded  1.1  sha256:bbbbbbbbbbbb  1     yes   2026-01-02T03:04:05Z  ci  jenkins-web-7',
      ''
    ].join('\n')
  )
})

t.test('an unknown name lists what exists', async (t) => {
  standIn.on('DELETE /v1/environments/wpi', (response) =>
    problem(response, 404, 'unknown-environment', 'there is no environment wpi', {
      known: ['wip', 'production']
    })
  )
  const ended = await run(['environments', 'remove', 'wpi'])
  t.equal(ended.code, 2)
  t.equal(
    ended.err,
    'error: there is no environment wpi (unknown-environment)\n  there are: wip, production\n'
  )
})

t.test('wrong usage ends with 2 and a hint', async (t) => {
  t.match(await run(['deply', 'web']), { code: 2, err: /Did you mean deploy\?/ })
  t.match(await run(['deploy', 'web', '--env', 'wip']), { code: 2, err: /--tag TAG or --digest/ })
  t.match(await run(['deploy', 'web', '--env', 'wip', '--tag', 'a', '--offline', 'no']), {
    code: 2,
    err: /fail, skip/
  })
  t.match(await run(['agents', 'aprove', 'web-1']), {
    code: 2,
    err: /no command aprove.*did you mean.*approve/
  })
  t.match(await run(['attach', 'x']), {
    code: 2,
    err: /x is not the id of a deployment[\s\S]*longshore deployments/
  })
  t.match(await run(['environments']), { code: 2, err: /create/ })
  t.match(await run(['apply', '-f', '-']), { code: 2, err: /--env NAME or --all-envs/ })
  t.match(await run(['apply', '-f', '/does/not/exist', '--env', 'wip']), { code: 2, err: /cannot read/ })
  t.match(await run(['--help']), { code: 0, out: /Usage: longshore/, err: '' })
})

t.test('an answer of something else is named as such', async (t) => {
  standIn.on('GET /v1/environments', (response) => void response.end('<html>'))
  t.match(await run(['environments', 'list']), { code: 7, err: /not understood/ })
  const gone = await run(['environments', 'list'], { LONGSHORE_URL: 'http://127.0.0.1:1' })
  t.match(gone, { code: 7, err: /cannot reach .* ECONNREFUSED[\s\S]*no request was sent/ })
})

t.test('a reader that goes away ends the command quietly', async (t) => {
  const many = Array.from({ length: 20_000 }, (_, number) => ({
    name: `e${String(number)}`,
    createdAtMs: 0,
    agents: 0,
    heal: false,
    promotesFrom: null,
    freeze: null
  }))
  standIn.on('GET /v1/environments', (response) => json(response, 200, many))
  const env = { PATH: process.env['PATH'], LONGSHORE_URL: standIn.url, LONGSHORE_TOKEN: 'secret' }
  const command = `'${process.execPath}' '${main}' environments list | head -n 1`
  const ended = await new Promise<{ out: string; err: string }>((resolve) => {
    execFile('sh', ['-c', command], { env }, (_error, out, err) => resolve({ out, err }))
  })
  t.same(ended, { out: 'ENVIRONMENT  AGENTS  HEAL  PROMOTES FROM  CREATED\n', err: '' })
})

t.test('no command but its own loads the server or the schemas at the start', async (t) => {
  const { out } = await run(['version'])
  t.match(out, /^\d+\.\d+\.\d+\n$/)
  const trace = await run(['version'], { NODE_DEBUG: 'esm' })
  t.ok(trace.err.includes('node_modules/commander/'), 'the trace names what is loaded')
  t.same(heavyIn(trace.err), [])
  const unreached = { NODE_DEBUG: 'esm', LONGSHORE_URL: 'http://127.0.0.1:1' }
  const deploy = await run(['deploy', 'web', '--env', 'wip', '--tag', '1'], unreached)
  t.equal(deploy.code, 7)
  t.same(heavyIn(deploy.err), [], 'schemas load once the request has left')
})

/** @param trace of megabytes, which a failure must not print */
const heavyIn = (trace: string): string[] => [
  ...new Set(trace.match(/node_modules\/(?:fastify|kysely|zod)(?=\/)/g))
]
