// ID tokens instead of API tokens, over real HTTP, from an issuer that is a server of its own: who is let in, who is
// not, what an issuer that is down or lies brings about, and what of all this the audit keeps.
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import t from 'tap'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { makeAuthority } from '../support/authority.ts'
import { startIssuer } from '../support/issuer.ts'
import { specOf, startRealController, textOf } from '../support/real-controller.ts'

const authority = await makeAuthority(t.testdir(), '127.0.0.1')
const controller = await startRealController(t, { caFile: authority.caFile })
const { ask, installation } = controller
const jenkins = await startIssuer(t, { audience: installation })
const job = 'https://jenkins.example.com/job/api/'
const rulesFor = (...allow: string[]) => [{ claims: { sub: `${job}*` }, allow }]
const set = (name: string, url: string, rules: object[], more: object = {}) =>
  ask('PUT', `/v1/issuers/${name}`, { body: { url, rules, ...more } })
/** Every token that was shown to the controller. */
const given: string[] = []
const info = (token: string, from = '192.0.2.7') => {
  given.push(token)
  return ask('GET', '/v1/info', { token, from })
}
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test(
  'whoever an ID token stands for is said by issuer and subject, and may what the rules say',
  async (t) => {
    await ask('PUT', '/v1/environments/staging/services/api/spec', { body: { spec: specOf() } })
    const machine = await newMachine('host-a')
    await enrol(controller.url, machine, (await controller.joinToken()).token)
    const agent = await connectAnswering(controller.url, machine, await controller.trust())
    t.teardown(() => agent.socket.terminate())
    t.match(await set('jenkins', jenkins.url, rulesFor('deploy:staging/api')), {
      status: 200,
      body: { name: 'jenkins', audience: installation, setBy: 'admin' }
    })
    const token = await jenkins.token()
    given.push(token)
    const name = `oidc:jenkins/${job}`
    t.match((await info(token)).body, { caller: { name, allow: ['deploy:staging/api'] } })
    const what = { by: 'tag', tag: '1' }
    const body = { service: 'api', environment: 'staging', what, idempotencyKey: 'build-7' }
    const begun = await ask('POST', '/v1/deployments', { token, body })
    t.match(begun, { status: 202, body: { requestedBy: name } })
    // to the end of the stream, which is the end of the deployment
    const events = `${controller.url}/v1/deployments/${textOf(begun.body, 'id')}/events`
    const stream = await fetch(events, { headers: { authorization: `Bearer ${token}` } })
    t.match(await stream.text(), /"type":"ended".*"outcome":"succeeded"/)
    const again = await ask('POST', '/v1/deployments', { token: await jenkins.token({ jti: 'other' }), body })
    t.match(again.body, { id: begun.body['id'], attached: true })
    const elsewhere = { ...body, environment: 'production' }
    t.match(await ask('POST', '/v1/deployments', { token, body: elsewhere }), { body: { code: 'forbidden' } })
    t.match(
      await ask('POST', '/v1/deployments', {
        token: controller.token,
        body: { ...body, idempotencyKey: null }
      }),
      {
        status: 202
      }
    )
    t.equal(jenkins.keysAsked, 1, 'its keys were fetched once')
  }
)

t.test('an authentic token that no rule fits is told which claims, and is no failed attempt', async (t) => {
  const stranger = await jenkins.token({ sub: 'https://jenkins.example.com/job/other/' })
  for (let tries = 0; tries < 21; tries += 1) {
    t.match(await info(stranger, '192.0.2.8'), {
      status: 403,
      body: { code: 'claims-refused', detail: 'no rule of issuer jenkins fits: rule 1 (sub is another)' }
    })
  }
})

t.test('no token is let in that the issuer did not sign for this installation and this time', async (t) => {
  const now = Math.floor(Date.now() / 1000)
  const good = await jenkins.token()
  const [head = '', payload = '', signature = ''] = good.split('.')
  const [published] = jenkins.keys().keys
  const header = { alg: 'HS256', typ: 'JWT', kid: published?.kid }
  const mac = (key: string) =>
    createHmac('sha256', key)
      .update(`${encode(header)}.${payload}`)
      .digest('base64url')
  const forged = encode({ ...decodeJwt(good), sub: `${job}more` })
  const cases: [string, string, RegExp][] = [
    ['of another subject', `${head}.${forged}.${signature}`, /signature .* wrong/],
    ['unsigned', `${encode({ alg: 'none', typ: 'JWT' })}.${payload}.`, /public key algorithm/],
    [
      'signed with the public key',
      `${encode(header)}.${payload}.${mac(JSON.stringify(published))}`,
      /public key/
    ],
    ['expired', await jenkins.token({ exp: now - 61 }), /has expired/],
    ['not yet valid', await jenkins.token({ nbf: now + 120 }), /nbf .* not valid/],
    ['of the future', await jenkins.token({ iat: now + 120 }), /future/],
    ['of last week', await jenkins.token({ iat: now - 86_500 }), /older/],
    ['without an end', await jenkins.token({ exp: undefined }), /exp .* missing/],
    ['without a time', await jenkins.token({ iat: undefined }), /iat .* missing/],
    ['without a subject', await jenkins.token({ sub: undefined }), /sub .* missing/],
    ['with an odd subject', await jenkins.token({ sub: `${job}\n` }), /subject/],
    ['for another audience', await jenkins.token({ aud: 'sts.amazonaws.com' }), /audience/],
    ['of nobody known', await jenkins.token({ iss: 'https://evil.example.com' }), /not known here/],
    ['of another type', await jenkins.token({}, { typ: 'at+jwt' }), /not an API token/],
    ['with another key', await jenkins.token({}, { kid: 'unknown' }), /a key that its issuer does not name/],
    ['too long', await jenkins.token({ more: 'x'.repeat(6000) }), /too long/],
    ['that is no JSON', `${head}.e30x.${signature}`, /neither/]
  ]
  for (const [index, [name, token, says]] of cases.entries()) {
    const refused = await info(token, `198.51.100.${index + 1}`)
    t.match(refused, { status: 401, body: { code: 'unauthenticated', detail: says } }, name)
  }
  t.equal(jenkins.keysAsked, 1, 'no stranger makes the controller ask at each try')
  for (let tries = 0; tries < 20; tries += 1) await info(cases[0]?.[1] ?? '', '198.51.100.200')
  t.match(await info(good, '198.51.100.200'), { status: 429, body: { code: 'rate-limited' } })
})

t.test(
  'of several issuers of one URL those count that a token is meant for, and their rules add up',
  async (t) => {
    await set('jenkins-b', jenkins.url, [{ claims: { build_number: '7' }, allow: ['read:production/api'] }])
    await set('jenkins-c', jenkins.url, rulesFor('*:*/*'), { audience: 'elsewhere' })
    const { body } = await info(await jenkins.token())
    t.match(body, {
      caller: { name: `oidc:jenkins/${job}`, allow: ['deploy:staging/api', 'read:production/api'] }
    })
    t.match((await info(await jenkins.token({ aud: ['elsewhere', 'more'] }))).body, {
      caller: { name: `oidc:jenkins-c/${job}`, allow: ['*:*/*'] }
    })
    // as `docker login` sends it
    const password = Buffer.from(`jenkins:${await jenkins.token({ aud: 'elsewhere' })}`).toString('base64')
    const registry = await fetch(`${controller.url}/v2/`, { headers: { authorization: `Basic ${password}` } })
    t.equal(registry.status, 200)
    for (const name of ['jenkins-b', 'jenkins-c']) await ask('DELETE', `/v1/issuers/${name}`)
  }
)

t.test('an issuer is set by whoever may make such tokens, and by nobody else', async (t) => {
  const token = await controller.tokenFor('tokens:staging/*', 'deploy:staging/*')
  const narrow = (name: string, ...allow: string[]) =>
    ask('PUT', `/v1/issuers/${name}`, { token, body: { url: jenkins.url, rules: rulesFor(...allow) } })
  t.match(await narrow('mine', 'deploy:production/api'), { body: { code: 'forbidden', detail: /hand on/ } })
  t.match(await narrow('mine', 'deploy:staging/web'), { status: 200 })
  await set('admins', jenkins.url, rulesFor('apply:*/*'))
  t.match(await narrow('admins', 'deploy:staging/web'), { body: { code: 'forbidden', detail: /may manage/ } })
  t.match(await ask('DELETE', '/v1/issuers/admins', { token }), {
    body: { code: 'unknown-issuer', known: ['jenkins', 'mine'] }
  })
  const seen = (await ask('GET', '/v1/issuers', { token })).body as unknown as { name: string }[]
  t.same(
    seen.map(({ name }) => name),
    ['jenkins', 'mine']
  )
  for (const name of ['mine', 'admins']) t.equal((await ask('DELETE', `/v1/issuers/${name}`)).status, 204)
  t.match(await set('open', 'http://jenkins.example.com', rulesFor('read:*/*')), {
    body: { code: 'invalid-request', detail: /https/ }
  })
})

t.test(
  'an issuer that is down or does not answer as one lets nobody in, and is back at once when it is',
  async (t) => {
    const answers: [string, RegExp, Parameters<typeof startFailing>[0]][] = [
      ['an error', /HTTP status 500/, (_path, response) => response.writeHead(500).end()],
      ['no JSON', /no JSON/, (_path, response) => response.end('<html>')],
      [
        'another issuer',
        /another issuer/,
        (_path, response) => response.end('{"issuer":"https://a","jwks_uri":"https://a"}')
      ],
      ['no keys', /not valid/, (_path, response) => response.end('{}')],
      [
        'a redirect',
        /HTTP status 302/,
        (_path, response) => response.writeHead(302, { location: '/x' }).end()
      ],
      ['too much', /too much/, (_path, response) => response.end(`"${'x'.repeat(300_000)}"`)],
      ['a cut connection', /no answer/, (_path, response) => response.destroy()]
    ]
    for (const [name, says, answer] of answers) {
      const { token } = await startFailing(answer)
      t.match(
        await info(await token()),
        { status: 503, body: { code: 'issuer-unavailable', detail: says } },
        name
      )
    }
    t.match((await info(await jenkins.token())).status, 200, 'others are let in meanwhile')
  }
)

const startFailing = async (answer: NonNullable<typeof jenkins.answer>) => {
  const issuer = await startIssuer(t, { audience: installation })
  await set('failing', issuer.url, rulesFor('read:*/*'))
  issuer.answer = answer
  return issuer
}

t.test('keys that are not public, or not of the algorithm that a token names, let nobody in', async (t) => {
  const issuer = await startIssuer(t, { audience: installation, algorithm: 'ES256' })
  await set('failing', issuer.url, rulesFor('read:*/*'))
  const secret = Buffer.from('a secret of thirty-two characters')
  const [key] = issuer.keys().keys
  issuer.answer = (path, response) => {
    const keys = [{ kty: 'oct', k: secret.toString('base64url'), kid: key?.kid }]
    response.end(
      JSON.stringify(
        path.endsWith('jwks') ? { keys } : { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` }
      )
    )
  }
  const good = await issuer.token()
  const [, payload = ''] = good.split('.')
  const head = encode({ alg: 'HS256', typ: 'JWT', kid: key?.kid })
  const mac = createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url')
  t.match(await info(`${head}.${payload}.${mac}`), { status: 401 })
  t.match(await info(good), { status: 401, body: { detail: /a key that its issuer does not name/ } })

  const short = await startIssuer(t, { audience: installation })
  await set('failing', short.url, rulesFor('read:*/*'))
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  short.answer = (path, response) => {
    const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: short.keys().keys[0]?.kid }]
    response.end(
      JSON.stringify(path.endsWith('jwks') ? { keys } : { issuer: short.url, jwks_uri: `${short.url}/jwks` })
    )
  }
  t.match(await info(await short.token()), { status: 503, body: { detail: /its key has 1024 bits/ } })
})

t.test('over https an issuer is known by its certificate, of the authority that is trusted', async (t) => {
  const { cert, key } = await authority.certify('issuer')
  const tls = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') }
  const own = await startIssuer(t, { audience: 'longshore', algorithm: 'EdDSA', tls })
  await set('own', own.url, rulesFor('read:staging/api'), { audience: 'longshore' })
  t.match(await info(await own.token()), { status: 200 })
  const other = await makeAuthority(t.testdir(), '127.0.0.1')
  const foreign = await other.certify('foreign')
  const wrong = { cert: await readFile(foreign.cert, 'utf8'), key: await readFile(foreign.key, 'utf8') }
  const impostor = await startIssuer(t, { audience: installation, tls: wrong })
  await set('impostor', impostor.url, rulesFor('read:staging/api'))
  t.match(await info(await impostor.token()), { status: 503, body: { code: 'issuer-unavailable' } })
})

t.test('an issuer that is removed lets nobody in from then on, clocks may differ by a minute', async (t) => {
  await set('jenkins', jenkins.url, rulesFor('read:*/*'))
  const token = await jenkins.token({ exp: Math.floor(Date.now() / 1000) - 55 })
  t.match(await info(token), { status: 200 })
  await ask('DELETE', '/v1/issuers/jenkins')
  t.match(await info(token), { status: 401 })
})

t.test('the audit names the caller by issuer and subject, and has no token', async (t) => {
  await controller.stop()
  const store = await openStore({ path: join(controller.dataDir, 'controller.db') })
  const rows = await store.audit({ limit: 1000 })
  await store.close()
  await controller.start()
  const ofBuild = rows.filter(({ actorKind }) => actorKind === 'id-token')
  const did = (action: string, outcome: RegExp) =>
    ofBuild.some((row) => row.action === action && outcome.test(row.outcome))
  t.ok(did('deployment.request', /^ok$/))
  t.ok(did('deployment.request', /^attached:/))
  t.ok(did('POST /v1/deployments', /^forbidden$/))
  t.ok(
    ofBuild.every(({ actorName, actorId }) => actorName === `oidc:jenkins/${job}` && actorId === actorName)
  )
  for (const action of ['issuer.set', 'issuer.remove']) t.ok(rows.some((row) => row.action === action))
  const text = JSON.stringify(rows)
  t.ok(given.length > 20 && given.every((token) => !text.includes(token)))
})
