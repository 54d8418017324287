// Who may do what, over real HTTP: every route of the table with and without its permission, what a refusal tells,
// and what of all this the audit keeps.
import { join } from 'node:path'
import { tokenId } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { verbs } from '../../packages/controller/src/api/schemas.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { type Answer, type Json, specOf, startRealController, textOf } from '../support/real-controller.ts'

const controller = await startRealController(t)
const { ask, tokenFor, joinToken } = controller
const spec = specOf()
const unknownDeployment = 'dep_00000000000000000000'
const unknownToken = 'tok_00000000000000000000'
const tag = { by: 'tag', tag: '1' }
const rollback = { by: 'rollback', release: null }

/** One request per route: what it needs, and its answer when that is there; without, it is 403. */
type Case = {
  route: string
  path: string
  body?: unknown
  /** Permissions that are enough, the narrowest. */
  needs: string[]
  /** Status and code with the permission. */
  gives: number | string
  /** Without the permission: 403, unless what may not be read is answered as if it did not exist. */
  hidden?: string
}
const at = '/v1/environments/staging/services/api/spec'
const cases: Case[] = [
  { route: 'GET /v1/environments', path: '/v1/environments', needs: [], gives: 200 },
  {
    route: 'POST /v1/environments',
    path: '/v1/environments',
    body: { name: 'staging' },
    needs: ['environments:staging/*'],
    gives: 'already-exists'
  },
  {
    route: 'DELETE /v1/environments/{environment}',
    path: '/v1/environments/staging',
    needs: ['environments:staging/*'],
    gives: 'in-use'
  },
  {
    route: 'PATCH /v1/environments/{environment}',
    path: '/v1/environments/staging',
    body: { heal: true },
    needs: ['environments:staging/*'],
    gives: 200
  },
  {
    route: 'PUT /v1/environments/{environment}/freeze',
    path: '/v1/environments/staging/freeze',
    body: { reason: 'database move' },
    needs: ['lock:staging/*'],
    gives: 200
  },
  {
    route: 'DELETE /v1/environments/{environment}/freeze',
    path: '/v1/environments/staging/freeze',
    needs: ['lock:staging/*'],
    gives: 204
  },
  {
    route: 'PUT /v1/environments/{environment}/freeze',
    path: '/v1/environments/staging/freeze',
    body: { service: 'none', reason: 'database move' },
    needs: ['lock:staging/none'],
    gives: 'unknown-service'
  },
  {
    route: 'DELETE /v1/environments/{environment}/freeze',
    path: '/v1/environments/staging/freeze?service=api',
    needs: ['lock:staging/api'],
    gives: 'wrong-state'
  },
  { route: 'GET /v1/join-tokens', path: '/v1/join-tokens', needs: [], gives: 200 },
  {
    route: 'POST /v1/join-tokens',
    path: '/v1/join-tokens',
    body: { environment: 'staging' },
    needs: ['tokens:staging/*'],
    gives: 201
  },
  {
    route: 'DELETE /v1/join-tokens/{id}',
    path: `/v1/join-tokens/JOIN`,
    needs: ['tokens:staging/*'],
    gives: 204
  },
  { route: 'GET /v1/api-tokens', path: '/v1/api-tokens', needs: [], gives: 200 },
  {
    route: 'POST /v1/api-tokens',
    path: '/v1/api-tokens',
    body: { name: 'more', allow: ['tokens:staging/api'] },
    needs: ['tokens:staging/api'],
    gives: 201
  },
  {
    route: 'DELETE /v1/api-tokens/{id}',
    path: '/v1/api-tokens/API',
    needs: ['tokens:staging/api'],
    gives: 204
  },
  { route: 'GET /v1/issuers', path: '/v1/issuers', needs: [], gives: 200 },
  {
    route: 'PUT /v1/issuers/{name}',
    path: '/v1/issuers/ci',
    body: {
      url: 'https://ci.example.com',
      rules: [{ claims: { sub: 'build' }, allow: ['tokens:staging/api'] }]
    },
    needs: ['tokens:staging/api'],
    gives: 200
  },
  {
    route: 'DELETE /v1/issuers/{name}',
    path: '/v1/issuers/ci',
    needs: ['tokens:staging/api'],
    gives: 204,
    hidden: 'unknown-issuer'
  },
  { route: 'GET /v1/webhooks', path: '/v1/webhooks', needs: [], gives: 200 },
  {
    route: 'POST /v1/webhooks',
    path: '/v1/webhooks',
    body: { name: 'more', url: 'http://10.0.0.1/', environments: ['staging'] },
    needs: ['webhooks:staging/*'],
    gives: 'invalid-request'
  },
  {
    route: 'POST /v1/webhooks/{id}/test',
    path: '/v1/webhooks/ops/test',
    needs: ['webhooks:staging/*'],
    gives: 'webhook-failed',
    hidden: 'unknown-webhook'
  },
  {
    route: 'DELETE /v1/webhooks/{id}',
    path: '/v1/webhooks/ops',
    needs: ['webhooks:staging/*'],
    gives: 204,
    hidden: 'unknown-webhook'
  },
  { route: 'GET /v1/registries', path: '/v1/registries', needs: ['registries:*/*'], gives: 200 },
  {
    route: 'POST /v1/registries',
    path: '/v1/registries',
    body: { host: 'https://registry.example.com/', username: 'puller', password: 'for-hosts-alone' },
    needs: ['registries:*/*'],
    gives: 200
  },
  {
    route: 'DELETE /v1/registries/{host}',
    path: '/v1/registries/registry.example.com',
    needs: ['registries:*/*'],
    gives: 204
  },
  { route: 'GET /v1/agents', path: '/v1/agents?environment=staging', needs: ['read:staging/*'], gives: 200 },
  {
    route: 'GET /v1/agents/{agent}',
    path: '/v1/agents/web1',
    needs: ['read:staging/*'],
    gives: 200,
    hidden: 'unknown-agent'
  },
  {
    route: 'POST /v1/agents/{agent}/approve',
    path: '/v1/agents/web1/approve',
    needs: ['agents:staging/*'],
    gives: 'wrong-state',
    hidden: 'unknown-agent'
  },
  {
    route: 'POST /v1/agents/{agent}/revoke',
    path: '/v1/agents/web1/revoke',
    needs: ['agents:staging/*'],
    gives: 200,
    hidden: 'unknown-agent'
  },
  {
    route: 'DELETE /v1/agents/{agent}',
    path: '/v1/agents/web1',
    needs: ['agents:staging/*'],
    gives: 204,
    hidden: 'unknown-agent'
  },
  {
    route: 'PUT /v1/environments/{environment}/services/{service}/spec',
    path: at,
    body: { spec, dryRun: true },
    needs: ['apply:staging/api'],
    gives: 200
  },
  {
    route: 'GET /v1/environments/{environment}/services/{service}/spec',
    path: at,
    needs: ['read:staging/api'],
    gives: 200
  },
  { route: 'GET /v1/specs', path: '/v1/specs', needs: [], gives: 200 },
  {
    route: 'POST /v1/deployments',
    path: '/v1/deployments',
    body: { service: 'none', environment: 'staging', what: tag },
    needs: ['deploy:staging/none'],
    gives: 'unknown-service'
  },
  {
    route: 'POST /v1/deployments',
    path: '/v1/deployments',
    body: { service: 'api', environment: 'staging', what: rollback },
    needs: ['rollback:staging/api'],
    gives: 'nothing-to-roll-back-to'
  },
  {
    route: 'POST /v1/deployments',
    path: '/v1/deployments',
    body: { service: 'api', environment: 'staging', what: { by: 'promote', from: 'production' } },
    needs: ['deploy:staging/api', 'read:production/api'],
    gives: 'not-promotable'
  },
  {
    route: 'POST /v1/deployments',
    path: '/v1/deployments',
    body: { service: 'none', environment: 'staging', mode: 'remove', what: { by: 'nothing' } },
    needs: ['remove:staging/none'],
    gives: 'unknown-service'
  },
  {
    route: 'POST /v1/deployments',
    path: '/v1/deployments',
    body: {
      service: 'none',
      environment: 'staging',
      what: tag,
      services: [{ service: 'none' }, { service: 'other', what: rollback }]
    },
    needs: ['deploy:staging/none', 'rollback:staging/other'],
    gives: 'unknown-service'
  },
  { route: 'GET /v1/deployments', path: '/v1/deployments', needs: [], gives: 200 },
  {
    route: 'GET /v1/deployments/{id}',
    path: '/v1/deployments/DEPLOYMENT',
    needs: ['read:staging/api'],
    gives: 200,
    hidden: 'unknown-deployment'
  },
  {
    route: 'POST /v1/deployments/{id}/cancel',
    path: '/v1/deployments/DEPLOYMENT/cancel',
    needs: ['cancel:staging/api'],
    gives: 'already-ended',
    hidden: 'unknown-deployment'
  },
  {
    route: 'POST /v1/deployments/{id}/resume',
    path: '/v1/deployments/DEPLOYMENT/resume',
    needs: ['deploy:staging/api'],
    gives: 'already-ended',
    hidden: 'unknown-deployment'
  },
  {
    route: 'GET /v1/deployments/{id}/events',
    path: `/v1/deployments/${unknownDeployment}/events`,
    needs: ['read:staging/api'],
    gives: 'unknown-deployment',
    hidden: 'unknown-deployment'
  },
  {
    route: 'GET /v1/logs',
    path: '/v1/logs?environment=staging&service=none',
    needs: ['logs:staging/none'],
    gives: 'unknown-service'
  },
  { route: 'GET /v1/releases', path: '/v1/releases', needs: [], gives: 200 },
  { route: 'GET /v1/status', path: '/v1/status', needs: [], gives: 200 },
  { route: 'GET /v1/images', path: '/v1/images', needs: [], gives: 200 },
  { route: 'GET /v1/audit', path: '/v1/audit', needs: ['audit:*/*'], gives: 200 },
  { route: 'GET /v1/session', path: '/v1/session', needs: [], gives: 200 },
  { route: 'GET /v1/info', path: '/v1/info', needs: [], gives: 200 }
]
/** Asked for without a token; `GET /v1/events` never ends by itself, it and `GET /metrics` have tests of their own. */
const openRoutes = [
  'GET /healthz',
  'GET /readyz',
  'GET /v1/keys',
  'GET /v1/openapi.json',
  'POST /v1/agents/enrol',
  'POST /v1/agents/leave',
  'POST /v1/session',
  'DELETE /v1/session',
  'GET /v1/sign-in',
  'POST /v1/sign-in/{issuer}'
]

await ask('PUT', at, { body: { spec } })
// nothing listens there
const receiver = { name: 'ops', url: 'http://127.0.0.1:1/', environments: ['staging'] }
await ask('POST', '/v1/webhooks', { body: receiver })
const machineToken = await joinToken()
await enrol(controller.url, await newMachine('web1'), machineToken.token)
const asked = { service: 'api', environment: 'staging', what: tag }
const { body: deployment } = await ask('POST', '/v1/deployments', { body: asked })
const id = textOf(deployment, 'id')

const send = (
  { route, path, body }: Case,
  token: string,
  filled: Record<string, string>
): Promise<Answer> => {
  const method = route.split(' ')[0] ?? ''
  const whole = path.replace(/[A-Z]{3,}/, (name) => filled[name] ?? name)
  return ask(method, whole, { token, ...(body === undefined ? {} : { body }) })
}

t.test('every route of the API is in the table of this test', async (t) => {
  const { body } = await ask('GET', '/v1/openapi.json')
  const routes = Object.entries(body['paths'] as Record<string, Json>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  )
  const elsewhere = ['GET /v1/events', 'GET /metrics']
  const tested = new Set([...cases.map(({ route }) => route), ...openRoutes, ...elsewhere])
  t.same(routes.sort(), [...tested].sort())
})

t.test('a route does its work with the narrowest permission and nothing without it', async (t) => {
  const others = verbs.map((verb) => `${verb}:production/*`)
  const elsewhere = await tokenFor(...others)
  const made = async () => ({
    JOIN: (await joinToken()).id,
    API: textOf(
      (await ask('POST', '/v1/api-tokens', { body: { name: 'x', allow: ['tokens:staging/api'] } })).body,
      'id'
    ),
    DEPLOYMENT: id
  })
  for (const one of cases) {
    const name = `${one.route} ${one.needs.join(' ')}`
    const filled = await made()
    if (one.needs.length > 0) {
      const code = one.hidden ?? 'forbidden'
      t.match(await send(one, elsewhere, filled), { body: { code } }, `${name}: not with rights elsewhere`)
    }
    const allowed = await send(one, await tokenFor(...one.needs, 'read:production/none'), filled)
    const expected = typeof one.gives === 'number' ? { status: one.gives } : { body: { code: one.gives } }
    t.match(allowed, expected, name)
  }
})

t.test('a verb over one service does not reach another one, and reading changes nothing', async (t) => {
  const reader = await tokenFor('read:*/*')
  const filled = { JOIN: unknownToken, API: unknownToken, DEPLOYMENT: id }
  for (const one of cases.filter(
    ({ route }) => !route.startsWith('GET') && !/{id}|DELETE .*{name}/.test(route)
  )) {
    if (one.route.includes('/agents/')) continue
    t.match(await send(one, reader, filled), { status: 403, body: { code: 'forbidden' } }, one.route)
  }
  const narrow = await tokenFor('apply:staging/web')
  t.match(await ask('PUT', at, { token: narrow, body: { spec } }), {
    status: 403,
    body: { detail: /lacks apply:staging\/api/ }
  })
})

t.test('the name of a token neither hides anything nor is that of a person', async (t) => {
  const make = async (name: string) =>
    (await ask('POST', '/v1/api-tokens', { body: { name, allow: ['read:staging/api'] } })).status
  for (const [index, name] of [
    'a\u001b[2J',
    'a\u202eb',
    'a\u2028b',
    'oidc:corp/ada (ada@example.com)'
  ].entries())
    t.equal(await make(name), 400, `name ${index}`)
  t.equal(await make('größe "漢字"'), 201)
})

t.test('an unknown name lists what exists, as far as the token may know it', async (t) => {
  for (const service of ['hidden', 'shown']) {
    await ask('PUT', `/v1/environments/staging/services/${service}/spec`, { body: { spec } })
  }
  const limited = await tokenFor(
    'read:staging/shown',
    'deploy:staging/nothing',
    'tokens:nowhere/*',
    'environments:nowhere/*',
    'apply:nowhere/*'
  )
  const knownTo = async (method: string, path: string, body?: unknown) =>
    (await ask(method, path, { token: limited, ...(body === undefined ? {} : { body }) })).body
  const environments: [string, string, unknown?][] = [
    ['POST', '/v1/join-tokens', { environment: 'nowhere' }],
    ['DELETE', '/v1/environments/nowhere'],
    ['PUT', '/v1/environments/nowhere/services/api/spec', { spec }],
    ['GET', '/v1/environments/nowhere/services/api/spec'],
    ['GET', '/v1/deployments?environment=nowhere'],
    ['GET', '/v1/status?environment=nowhere'],
    ['GET', '/v1/agents?environment=nowhere']
  ]
  for (const [method, path, body] of environments) {
    t.match(await knownTo(method, path, body), { code: 'unknown-environment', known: ['staging'] }, path)
  }
  for (const query of ['?service=nothing', '?service=hidden', '?service=nothing&environment=staging'])
    t.match(await knownTo('GET', `/v1/status${query}`), { code: 'unknown-service', known: ['shown'] }, query)
  t.equal((await ask('GET', '/v1/status?service=hidden')).status, 200)
  t.match(await knownTo('GET', '/v1/logs?environment=staging&service=shown&host=,'), {
    code: 'invalid-request'
  })
  const unknown = { service: 'nothing', environment: 'staging', what: tag }
  t.match(await knownTo('POST', '/v1/deployments', unknown), { code: 'unknown-service', known: ['shown'] })
  t.match((await ask('POST', '/v1/deployments', { body: unknown })).body, {
    known: ['api', 'hidden', 'shown']
  })
  t.match(await knownTo('GET', `/v1/deployments/${id}`), { code: 'unknown-deployment', known: [] })
  t.match((await ask('GET', `/v1/deployments/${unknownDeployment}`)).body, { known: [id] })
  const release = { by: 'rollback', release: 99 }
  t.match((await ask('POST', '/v1/deployments', { body: { ...asked, what: release } })).body, {
    code: 'unknown-release',
    known: []
  })
})

t.test('each change and each refusal of one is a row of the audit, with its code', async (t) => {
  const name = 'audited'
  const limited = await tokenFor('read:*/*')
  await ask('POST', '/v1/environments', { body: { name } })
  await ask('POST', '/v1/environments', { body: { name } })
  await ask('POST', '/v1/environments', { token: limited, body: { name: 'other' } })
  await ask('POST', '/v1/join-tokens', { body: { environment: 'nowhere' } })
  await ask('PUT', `/v1/environments/${name}/services/api/spec`, { body: { spec } })
  await ask('DELETE', `/v1/environments/${name}`)
  await ask('DELETE', '/v1/registries/none.example.com')
  for (const token of [limited, controller.token])
    await ask('DELETE', '/v1/registries/puller:s3cret@registry.example.com', { token })
  const expired = await joinToken({ ttlMs: 1000 })
  await ask('DELETE', `/v1/join-tokens/${expired.id}`)
  await enrol(controller.url, await newMachine('late'), expired.token)
  await controller.stop()
  const store = await openStore({ path: join(controller.dataDir, 'controller.db') })
  const rows = await store.audit({ limit: 1000 })
  await store.close()
  await controller.start()
  const found = (action: string, outcome: string) =>
    rows.some((row) => row.action === action && row.outcome === outcome)
  const expected: [string, string][] = [
    ['environment.create', 'ok'],
    ['environment.create', 'already-exists'],
    ['POST /v1/environments', 'forbidden'],
    ['join-token.create', 'ok'],
    ['join-token.create', 'unknown-environment'],
    ['join-token.revoke', 'ok'],
    ['api-token.create', 'ok'],
    ['api-token.revoke', 'ok'],
    ['spec.apply', 'ok'],
    ['environment.remove', 'in-use'],
    ['POST /v1/webhooks', 'forbidden'],
    ['webhook.create', 'ok'],
    ['POST /v1/webhooks/:id/test', 'webhook-failed'],
    ['webhook.remove', 'ok'],
    ['registry.login', 'ok'],
    ['registry.logout', 'ok'],
    ['registry.logout', 'unknown-registry'],
    ['DELETE /v1/registries/:host', 'forbidden'],
    ['DELETE /v1/registries/:host', 'invalid-request'],
    ['agent.enrol', 'new'],
    ['agent.enrol', 'revoked'],
    ['agent.approve', 'wrong-state'],
    ['agent.revoke', 'ok'],
    ['agent.remove', 'ok'],
    ['deployment.request', 'ok'],
    ['deployment.request', 'unknown-service'],
    ['deployment.request', 'nothing-to-roll-back-to'],
    ['deployment.cancel', 'already-ended']
  ]
  for (const [action, outcome] of expected) t.ok(found(action, outcome), `${action}: ${outcome}`)
  t.notOk(
    rows.some(({ outcome }) => outcome === 'internal'),
    'nothing was called a fault'
  )
  t.ok(rows.every((row) => tokenId.safeParse(row.actorId).success || row.actorKind !== 'api-token'))
  t.notMatch(JSON.stringify(rows), new RegExp(controller.token), 'no token is in it')
  t.notMatch(JSON.stringify(rows), /s3cret/, 'no password is in it that somebody wrote into a name')
})
