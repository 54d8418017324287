// A real controller on a real port: founded, asked over HTTP, enrolled with and connected to by agents made of the
// protocol package, which also break every rule that they can.
import { chmod, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readUnverified, signJws, timeClaims } from '@longshore/protocol'
import t from 'tap'
import { initController, startController } from '../../packages/controller/src/main.ts'
import { assertionOf, connect, enrol, newMachine, refusalOf } from '../support/agent-client.ts'
import { type Answer, type Json, startRealController, textOf } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

const controller = await startRealController(t)
const { ask, tokenFor, joinToken, trust, token, installation, dataDir } = controller
const agentOf = async (name: string): Promise<Json> => (await ask('GET', `/v1/agents/${name}`)).body

t.test('the data directory is private, made once, and refused when others can read it', async (t) => {
  t.equal((await stat(dataDir)).mode & 0o777, 0o700)
  t.equal((await stat(join(dataDir, 'signing-key.json'))).mode & 0o777, 0o600)
  await t.rejects(initController({ dataDir }), { code: 'data-exists' })
  await t.rejects(startController({ dataDir }), { code: 'database-in-use' })
  await t.rejects(startController({ dataDir: join(dataDir, 'none') }), { code: 'data-missing' })
  const open = join(t.testdir({}), 'open')
  await initController({ dataDir: open })
  await chmod(join(open, 'signing-key.json'), 0o640)
  await t.rejects(startController({ dataDir: open }), { code: 'data-permissions' })
  await chmod(join(open, 'signing-key.json'), 0o600)
  await writeFile(join(open, 'signing-key.json'), '{}')
  await t.rejects(startController({ dataDir: open }), { code: 'key-unusable' })
})

t.test('every failure of the API is a problem with a code', async (t) => {
  const cases: [Promise<Answer>, number, string][] = [
    [ask('GET', '/v1/nothing'), 404, 'unknown-route'],
    [ask('GET', '/v1/agents/%zz'), 400, 'invalid-request'],
    [ask('DELETE', `/v1/registries/${'a'.repeat(290)}.com`), 404, 'unknown-registry'],
    [ask('DELETE', `/v1/api-tokens/${'a'.repeat(301)}`), 400, 'invalid-request'],
    [ask('POST', '/v1/environments', { raw: '{' }), 400, 'invalid-request'],
    [ask('POST', '/v1/environments', { body: { name: 'NO' } }), 400, 'invalid-request'],
    [ask('POST', '/v1/environments', { raw: `"${'x'.repeat(1024 * 1024)}"` }), 413, 'too-large'],
    [ask('POST', '/v1/environments', { body: { name: 'staging' } }), 409, 'already-exists'],
    [ask('GET', '/v1/agents?environment=nowhere'), 404, 'unknown-environment'],
    [ask('GET', '/v1/agents/nobody'), 404, 'unknown-agent'],
    [ask('GET', '/v1/environments/staging/services/api/spec'), 404, 'unknown-service'],
    [ask('GET', '/v1/deployments/dep_00000000000000000000'), 404, 'unknown-deployment'],
    [ask('DELETE', '/v1/join-tokens/tok_00000000000000000000'), 404, 'unknown-token'],
    [ask('GET', '/v1/info', { token: 'none', from: '192.0.2.9' }), 401, 'unauthenticated']
  ]
  for (const [asked, status, code] of cases) {
    t.match(await asked, { status, type: /^application\/problem\+json/, body: { code, status } }, code)
  }
  t.match((await ask('POST', '/v1/environments', { body: { name: 'NO' } })).body, { detail: /body\.name/ })
  t.match((await ask('GET', '/v1/agents?environment=nowhere')).body, { known: ['production', 'staging'] })
})

t.test('the OpenAPI document has every route with its answers', async (t) => {
  const { body } = await ask('GET', '/v1/openapi.json')
  const paths = body['paths'] as Record<string, Record<string, unknown>>
  t.match(body, { openapi: '3.1.0', info: { title: 'Longshore' } })
  // which routes there are is compared in controller-access.test.ts
  for (const [path, methods] of Object.entries(paths))
    t.match(Object.values(methods), [{ responses: {} }], path)
  const text = JSON.stringify(paths['/v1/deployments']?.['post'])
  for (const word of ['idempotencyKey', 'services', 'promote', 'rehearse', 'attemptOf', 'releaseCommand'])
    t.match(text, `"${word}"`)
})

t.test('a token does only what it is allowed to, and sees only that', async (t) => {
  const limited = await tokenFor('deploy:staging/api', 'read:staging/*')
  const asLimited = (method: string, path: string, body?: unknown) =>
    ask(method, path, { token: limited, ...(body === undefined ? {} : { body }) })
  const names = ((await asLimited('GET', '/v1/environments')).body as unknown as Json[]).map(
    (one) => one['name']
  )
  t.same(names, ['staging'])
  const what = { by: 'tag', tag: '1' }
  const denied: [string, string, unknown?][] = [
    ['POST', '/v1/environments', { name: 'other' }],
    ['DELETE', '/v1/environments/staging'],
    ['POST', '/v1/join-tokens', { environment: 'staging' }],
    ['POST', '/v1/api-tokens', { name: 'more', allow: ['read:staging/*'] }],
    ['GET', '/v1/agents?environment=production'],
    ['GET', '/v1/environments/production/services/api/spec'],
    ['POST', '/v1/deployments', { service: 'web', environment: 'staging', what }],
    [
      'POST',
      '/v1/deployments',
      { service: 'api', environment: 'staging', what: { by: 'rollback', release: null } }
    ]
  ]
  for (const [method, path, body] of denied) {
    t.match(
      await asLimited(method, path, body),
      { status: 403, body: { code: 'forbidden' } },
      `${method} ${path}`
    )
  }
  t.match(await asLimited('POST', '/v1/deployments', { service: 'api', environment: 'staging', what }), {
    status: 404,
    body: { code: 'unknown-service' }
  })
})

t.test('a revoked or expired API token is refused, saying so', async (t) => {
  const { body } = await ask('POST', '/v1/api-tokens', { body: { name: 'gone', allow: ['read:*/*'] } })
  const gone = textOf(body, 'token')
  t.equal((await ask('GET', '/v1/info', { token: gone })).status, 200)
  t.equal((await ask('DELETE', `/v1/api-tokens/${textOf(body, 'id')}`)).status, 204)
  const words = async (text: string) =>
    (await ask('GET', '/v1/info', { token: text, from: '192.0.2.11' })).body['detail']
  t.equal(await words('nonsense'), 'what was sent is not an API token')
  const stranger = await newMachine('stranger')
  t.equal(
    await words(await signJws('api', {}, stranger.key)),
    'the API token was not made by this controller'
  )
  t.match(await ask('GET', '/v1/info', { token: gone, from: '192.0.2.10' }), {
    status: 401,
    body: { detail: /revoked/ }
  })
})

t.test('only failures count against an address, and proxies are believed only when trusted', async (t) => {
  const from = '198.51.100.7'
  for (let tries = 0; tries < 20; tries += 1) {
    t.equal((await ask('GET', '/v1/info', { token: 'wrong', from })).status, 401)
  }
  t.match(await ask('GET', '/v1/info', { from }), { status: 429, body: { code: 'rate-limited' } })
  t.equal((await ask('GET', '/v1/info', { from: '198.51.100.8' })).status, 200)
  const assertion = await assertionOf(await newMachine('x'), installation)
  const refused = await refusalOf(controller.url, assertion, { headers: { 'x-forwarded-for': from } })
  t.match(refused, { status: 429, body: { code: 'rate-limited' } })
})

t.test('whoever sends nothing to be tried is no failure: any website can make a browser ask', async (t) => {
  const from = '198.51.100.9'
  const headers = { 'x-forwarded-for': from }
  for (let tries = 0; tries < 21; tries += 1) {
    const { status } = await fetch(`${controller.url}/v1/info`, { headers })
    t.equal(status, 401)
  }
  t.equal((await ask('GET', '/v1/info', { from })).status, 200)
})

t.test('enrolment says which of its rules was broken, and a retry costs no use', async (t) => {
  const single = await joinToken({ uses: 1, labels: { host: 'token' } })
  const machine = await newMachine('once')
  const first = await enrol(controller.url, machine, single.token)
  t.match(first, {
    status: 200,
    body: { state: 'active', environment: 'staging', labels: { host: 'token' } }
  })
  t.match((await enrol(controller.url, machine, single.token)).body, { agent: first.body['agent'] })
  const refused = async (join: string) =>
    (await enrol(controller.url, await newMachine('other'), join)).body['code']
  t.equal(await refused(single.token), 'used-up')
  const revoked = await joinToken()
  await ask('DELETE', `/v1/join-tokens/${revoked.id}`)
  t.equal(await refused(revoked.token), 'revoked')
  const claims = {
    environment: 'staging',
    labels: {},
    issuedAtMs: 0,
    expiresAtMs: 1,
    uses: null,
    replace: false
  }
  const stranger = await newMachine('stranger')
  const named = { ...claims, id: revoked.id, key: stranger.key.kid }
  const own = await signJws('join', { ...named, installation }, stranger.key)
  t.equal(await refused(own), 'key-unknown')
  const foreign = await signJws('join', { ...named, installation: 'ins_00000000000000000000' }, stranger.key)
  t.equal(await refused(foreign), 'audience-mismatch')
})

t.test('a taken host name is held until approved, and the former agent is revoked then', async (t) => {
  const join = await joinToken()
  const [former, latter] = [await newMachine('taken'), await newMachine('taken')]
  const ids = [
    await enrol(controller.url, former, join.token),
    await enrol(controller.url, latter, join.token)
  ]
  t.match(ids, [{ body: { state: 'active' } }, { body: { state: 'held' } }])
  const session = await connect(controller.url, former, await trust())
  t.match(await refusalOf(controller.url, await assertionOf(latter, installation)), {
    status: 403,
    body: { code: 'held' }
  })
  t.match(await ask('POST', '/v1/agents/taken/revoke'), { status: 400 }, 'two have that name')
  t.equal((await ask('POST', '/v1/agents/taken/approve')).status, 200, 'only one of them can be approved')
  t.match(await session.end, { by: 'peer', reason: 'replaced' })
  t.match(await refusalOf(controller.url, await assertionOf(former, installation)), {
    body: { code: 'revoked' }
  })
  const replacing = await enrol(
    controller.url,
    await newMachine('taken'),
    (await joinToken({ replace: true })).token
  )
  t.match(replacing.body, { state: 'active' })
  t.match(await agentOf(String(ids[1]?.body['agent'])), { state: 'revoked', reason: /replaced by/ })
})

t.test('an assertion is refused by its fault before the session is opened', async (t) => {
  const machine = await newMachine('asserting')
  await enrol(controller.url, machine, (await joinToken()).token)
  const codeOf = async (assertion: string, options?: Parameters<typeof refusalOf>[2]) =>
    (await refusalOf(controller.url, assertion, options)).body['code']
  t.equal(await codeOf(await assertionOf(await newMachine('x'), installation)), 'unknown-agent')
  t.equal(await codeOf(await assertionOf(machine, 'ins_00000000000000000000')), 'audience-mismatch')
  t.equal(
    await codeOf(await assertionOf(machine, installation), { protocol: 'longshore.v9' }),
    'unsupported-version'
  )
  t.equal(await codeOf('garbage'), 'frame-malformed')
  const other = await newMachine('forger')
  const forged = await signJws('assertion', {}, { ...other.key, kid: machine.key.kid })
  t.equal(await codeOf(forged), 'signature-invalid')
  const jti = 'AAAAAAAAAAAAAAAAAAAAAA'
  const skewed = await refusalOf(
    controller.url,
    await assertionOf(machine, installation, { jti, issuedAtMs: 0 })
  )
  t.match(skewed.body, { code: 'clock-skew', detail: /behind the controller/ })
  t.match(readUnverified('time', textOf(skewed.body, 'time'), timeClaims), { jti })
})

t.test('an agent is connected after hello and silent after its end, and its inventory is seen', async (t) => {
  const machine = await newMachine('living')
  await enrol(controller.url, machine, (await joinToken()).token)
  t.match(await agentOf('living'), { state: 'silent', reason: /never been connected/ })
  const session = await connect(controller.url, machine, await trust())
  await waitUntil('the agent is connected', async () => (await agentOf('living'))['state'] === 'connected')
  t.match(await agentOf('living'), { agentVersion: '9.9.9', inventory: { isEngineReachable: true } })
  session.socket.terminate()
  await waitUntil('the agent is silent', async () => (await agentOf('living'))['state'] === 'silent')
  t.type((await agentOf('living'))['lastSeenAtMs'], 'number')
})

t.test('a frame that breaks a rule closes the session with its code and changes nothing', async (t) => {
  const machine = await newMachine('breaking')
  await enrol(controller.url, machine, (await joinToken()).token)
  const other = await newMachine('forger')
  const bad: [string, (sid: string) => Promise<string> | string][] = [
    ['frame-malformed', () => 'garbage'],
    ['frame-too-large', () => 'x'.repeat(1024 * 1024 + 1)],
    ['signature-invalid', (sid) => signJws('frame', { sid }, { ...other.key, kid: machine.key.kid })],
    ['key-unknown', (sid) => signJws('frame', { sid }, other.key)],
    ['type-refused', (sid) => signJws('receipt', { sid }, machine.key)],
    ['sequence-broken', (sid) => frame(sid, 1)],
    ['session-mismatch', () => frame('A'.repeat(43), 2)]
  ]
  const frame = (sid: string, seq: number) =>
    signJws(
      'frame',
      { sid, seq, at: 0, messages: [{ type: 'accepted', command: 'cmd_00000000000000000000' }] },
      machine.key
    )
  for (const [code, make] of bad) {
    const session = await connect(controller.url, machine, await trust())
    session.socket.send(await make(session.sid()))
    t.same(await session.closed, { code: 1008, reason: code })
    await waitUntil('the session is over', async () => (await agentOf('breaking'))['state'] === 'silent')
  }
})

t.test('a report is acknowledged once stored, and one signed by another key ends the session', async (t) => {
  const machine = await newMachine('reporting')
  await enrol(controller.url, machine, (await joinToken()).token)
  const session = await connect(controller.url, machine, await trust())
  const error = { code: 'cancelled', detail: '', step: null, log: [] }
  const outcome = { status: 'failed', error, serving: 'none', release: null }
  const report = { command: 'cmd_00000000000000000000', number: 1, outcome, steps: [] }
  session.send([{ type: 'report', jws: await signJws('receipt', report, machine.key) }])
  const ack = await waitUntil('the acknowledgement', () =>
    session.delivered.find((one) => one.type === 'ack')
  )
  t.same(ack, { type: 'ack', reportsUpTo: 1 })
  const { key } = await newMachine('forger')
  session.send([{ type: 'report', jws: await signJws('receipt', { ...report, number: 2 }, key) }])
  t.same(await session.closed, { code: 1008, reason: 'key-unknown' })
})

t.test('a second session of one key is refused while the first is alive', async (t) => {
  const machine = await newMachine('cloned')
  await enrol(controller.url, machine, (await joinToken()).token)
  const first = await connect(controller.url, machine, await trust())
  await waitUntil('the agent is connected', async () => (await agentOf('cloned'))['state'] === 'connected')
  const second = await connect(controller.url, machine, await trust())
  t.same(await second.closed, { code: 1008, reason: 'duplicate-session' })
  t.equal((await agentOf('cloned'))['state'], 'connected')
  t.equal((await ask('POST', '/v1/agents/cloned/revoke')).status, 200)
  t.match(await first.end, { by: 'peer', reason: 'revoked' })
})

t.test('the event stream begins with a snapshot and goes on with what happens', async (t) => {
  const answer = await fetch(`${controller.url}/v1/events`, { headers: { authorization: `Bearer ${token}` } })
  t.match(answer.headers.get('content-type'), 'text/event-stream')
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const readUntil = async (wanted: string): Promise<void> => {
    while (!text.includes(wanted)) {
      const { value, done } = (await reader?.read()) ?? { value: '', done: true }
      if (done) throw new Error(`the stream ended before ${wanted}`)
      text += value
    }
  }
  await readUntil('"name":"living"')
  await enrol(controller.url, await newMachine('newcomer'), (await joinToken()).token)
  await readUntil('"name":"newcomer"')
  t.match(text, /^id: ctl_\S+-\d+\ndata: \{"type":"agent"/)
  await reader?.cancel()
})

t.test('stopping says bye(reconnect) to agents, and a restart knows them', async (t) => {
  const machine = await newMachine('staying')
  await enrol(controller.url, machine, (await joinToken()).token)
  const session = await connect(controller.url, machine, await trust())
  await waitUntil('the agent is connected', async () => (await agentOf('staying'))['state'] === 'connected')
  await controller.stop()
  t.match(await session.end, { by: 'peer', reason: 'reconnect' })
  await controller.start()
  t.match(await agentOf('staying'), { state: 'silent', agentVersion: '9.9.9' })
})
