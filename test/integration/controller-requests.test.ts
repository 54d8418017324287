// Requests over real HTTP: repeated ones, several services in one, freezes, settings, and what each token sees of them.
import { connect as connectTcp } from 'node:net'
import t from 'tap'
import { assertionOf, enrol, newMachine, refusalOf } from '../support/agent-client.ts'
import { connectAnswering, obedient } from '../support/answering-agent.ts'
import { type Answer, type Json, specOf, startRealController, textOf } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

const controller = await startRealController(t)
const { ask, tokenFor, joinToken, trust, installation } = controller
const spec = specOf()
for (const [environment, service] of [
  ['staging', 'api'],
  ['staging', 'web'],
  ['production', 'api']
] as const) {
  await ask('PUT', `/v1/environments/${environment}/services/${service}/spec`, { body: { spec } })
}
const machine = await newMachine('web1')
await enrol(controller.url, machine, (await joinToken()).token)
/** Whoever stages never answers while this is set: the deployment stays in progress. */
let isSlow = false
const connectHost = async () =>
  connectAnswering(controller.url, machine, await trust(), (command) =>
    isSlow && command.body.kind === 'stage' ? undefined : obedient(command)
  )
await connectHost()

const what = { by: 'tag', tag: '1' }
const request = (change: object = {}) => ({ service: 'api', environment: 'staging', what, ...change })
const deploy = (change: object = {}, token?: string): Promise<Answer> =>
  ask('POST', '/v1/deployments', { body: request(change), ...(token === undefined ? {} : { token }) })
const viewOf = async (id: string): Promise<Json> => (await ask('GET', `/v1/deployments/${id}`)).body
const ended = (id: string): Promise<Json> =>
  waitUntil('the deployment has ended', async () => {
    const view = await viewOf(id)
    return view['phase'] === 'ended' ? view : undefined
  })
const run = async (change: object = {}): Promise<Json> => {
  const { status, body } = await deploy(change)
  t.equal(status, 202, JSON.stringify(body))
  return ended(textOf(body, 'id'))
}
const idsOf = (answer: Answer): unknown[] => (answer.body as unknown as Json[]).map((one) => one['id'])

t.test('an answer that got lost is asked for again by the same key', async (t) => {
  const body = JSON.stringify(request({ idempotencyKey: 'lost' }))
  const { hostname, port } = new URL(controller.url)
  const socket = connectTcp(Number(port), hostname)
  const head = [
    'POST /v1/deployments HTTP/1.1',
    'host: x',
    `authorization: Bearer ${controller.token}`,
    'content-type: application/json',
    `content-length: ${body.length}`
  ]
  // nobody ever reads the answer
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  const [id] = await waitUntil('the deployment is listed', async () => {
    const ids = idsOf(await ask('GET', '/v1/deployments'))
    return ids.length > 0 ? ids : undefined
  })
  socket.destroy()
  t.match(await deploy({ idempotencyKey: 'lost' }), { status: 202, body: { id, attached: true } })
  await ended(String(id))
  await controller.stop()
  await controller.start()
  t.match(await deploy({ idempotencyKey: 'lost' }), {
    status: 202,
    body: { id, attached: true, outcome: 'succeeded' }
  })
  t.same(idsOf(await ask('GET', '/v1/deployments')), [id])
  t.match(await deploy({ idempotencyKey: 'lost', what: { by: 'tag', tag: '2' } }), {
    status: 409,
    body: { code: 'idempotency-conflict', deployment: id }
  })
  await connectHost()
})

t.test('a key that failed is tried again as a new attempt, linked to the first', async (t) => {
  const unreachable = { environment: 'production', idempotencyKey: 'again' }
  t.match(await deploy(unreachable), { status: 409, body: { code: 'no-targets' } })
  await enrol(controller.url, await newMachine('far'), (await joinToken({ environment: 'production' })).token)
  const first = await run(unreachable)
  t.match(first, { outcome: 'refused', attemptOf: null })
  t.match(await run(unreachable), { outcome: 'refused', attemptOf: first['id'] })
})

t.test('a frozen environment is seen, and refuses with who, since when and why', async (t) => {
  const frozen = { holder: 'admin', reason: 'database move', service: null }
  const path = '/v1/environments/staging/freeze'
  const set = await ask('PUT', path, { body: { reason: 'database move' } })
  t.match(set, { status: 200, body: { ...frozen, environment: 'staging', inProgress: [] } })
  t.match(await deploy(), {
    status: 423,
    body: { code: 'frozen', detail: /^staging was locked by admin at .*: database move$/, freeze: frozen }
  })
  const environments = (await ask('GET', '/v1/environments')).body as unknown as Json[]
  t.match(environments, [
    { name: 'production', freeze: null },
    { name: 'staging', freeze: frozen }
  ])
  t.match((await ask('GET', '/v1/status?service=web')).body, [{ freeze: frozen, lock: null }])
  t.equal((await ask('DELETE', path)).status, 204)
  t.match((await run()).outcome, 'succeeded')
})

t.test('the settings of an environment are kept, and shown', async (t) => {
  const path = '/v1/environments/production'
  const own = await ask('PATCH', path, { body: { promotesFrom: 'production' } })
  t.match(own.body, { code: 'invalid-request', detail: /^production would take its images from itself$/ })
  const set = await ask('PATCH', path, { body: { promotesFrom: 'staging' } })
  t.match(set, { status: 200, body: { heal: false, promotesFrom: 'staging' } })
  t.match((await ask('PATCH', path, { body: { heal: true } })).body, { heal: true, promotesFrom: 'staging' })
  t.match(await deploy({ environment: 'production' }), {
    status: 409,
    body: { code: 'promotion-required', detail: /longshore promote api --from staging --to production$/ }
  })
  t.match(await ask('DELETE', '/v1/environments/staging'), {
    status: 409,
    body: { code: 'in-use', detail: /promoted from staging to production/ }
  })
  const back = await ask('PATCH', path, { body: { heal: false, promotesFrom: null } })
  t.match(back.body, { heal: false, promotesFrom: null })
})

t.test('several services are one deployment, for those who may deploy and see them all', async (t) => {
  const both = { services: [{ service: 'api' }, { service: 'web' }] }
  const half = await tokenFor('deploy:staging/api')
  t.match(await deploy(both, half), { status: 403, body: { detail: 'the token lacks deploy:staging/web' } })
  const view = await run(both)
  t.match(view, {
    outcome: 'succeeded',
    services: [
      { service: 'api', repository: 'registry.example/it' },
      { service: 'web', release: 1 }
    ]
  })
  const id = String(view['id'])
  const hidden = await ask('GET', `/v1/deployments/${id}`, { token: half })
  t.equal(hidden.status, 404)
  t.notOk((hidden.body['known'] as unknown[]).includes(id), 'nor is its id told')
  t.match(await ask('POST', `/v1/deployments/${id}/cancel`, { token: half }), { status: 404 })
  const seen = idsOf(await ask('GET', '/v1/deployments?environment=staging&limit=1', { token: half }))
  t.notOk(seen.includes(id), 'the newest one is not shown, an older one is')
  t.equal(seen.length, 1)
  t.match(idsOf(await ask('GET', '/v1/deployments?service=web')), [id])
  t.match((await ask('GET', '/v1/releases?environment=staging&service=web')).body, [
    { release: 1, isCurrent: true, isKept: true }
  ])
  t.match(await deploy({ services: [{ service: 'none' }, { service: 'nor-this' }] }), {
    status: 400,
    body: { code: 'invalid-request' }
  })
  const none = { service: 'none', services: [{ service: 'none' }, { service: 'nor-this' }] }
  t.match(await deploy(none), {
    status: 404,
    body: {
      code: 'unknown-service',
      errors: [{ service: 'none' }, { service: 'nor-this' }],
      known: ['api', 'web']
    }
  })
})

t.test('a wish that is not understood is refused, not left out', async (t) => {
  const answer = await deploy({ rehearseOnly: true })
  t.match(answer, { status: 400, body: { code: 'invalid-request', detail: /rehearseOnly/ } })
})

t.test('a lock is refused with whose it is and why', async (t) => {
  isSlow = true
  const { body } = await deploy({ reason: 'hotfix 12' })
  const lock = { deployment: body['id'], service: 'api', holder: 'admin', reason: 'hotfix 12' }
  t.match(await deploy(), { status: 409, body: { code: 'locked', detail: /: hotfix 12$/, lock } })
  t.match((await ask('GET', '/v1/status?environment=staging&service=api')).body, [
    { lock: { deployment: body['id'], holder: 'admin', reason: 'hotfix 12' } }
  ])
  isSlow = false
  t.equal((await ask('POST', `/v1/deployments/${body['id']}/cancel`)).status, 202)
  t.match(await ended(textOf(body, 'id')), { outcome: 'cancelled', requestReason: 'hotfix 12' })
})

t.test('machines whose key nobody knows do not lock out their address', async (t) => {
  const from = '198.51.100.77'
  const stranger = await newMachine('restored')
  for (let tries = 0; tries < 21; tries += 1) {
    const assertion = await assertionOf(stranger, installation)
    const refused = await refusalOf(controller.url, assertion, { headers: { 'x-forwarded-for': from } })
    t.equal(refused.body['code'], 'unknown-agent')
  }
  t.equal((await ask('GET', '/v1/info', { from })).status, 200)
})
