// Signing in at the page with an issuer, as far as HTTP goes: a certified issuer and its login form, whom its groups
// let in, what ends a session, and every answer that is not the one which was asked for.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemRandom } from '../../packages/controller/src/adapters/clock/system-clock.ts'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { startIssuer } from '../support/issuer.ts'
import { type RealController, startRealController } from '../support/real-controller.ts'
import { openSimpleBrowser, type SimpleBrowser, startSignInIssuer } from '../support/sign-in-issuer.ts'
import { HandClock } from '../unit/controller/engine/engine-scene.ts'

const pageHeaders = { 'x-longshore-page': '1', 'content-type': 'application/json' }
const ops = [{ claims: { groups: 'ops' }, allow: ['deploy:staging/*', 'audit:*/*'] }]

/** What the page does before it lets the browser go. */
const begin = async (
  controller: RealController,
  browser: SimpleBrowser,
  more: { issuer?: string; view?: string; headers?: object } = {}
) => {
  const { issuer = 'corp', view = '#/tokens', headers = {} } = more
  const answer = await fetch(`${controller.url}/v1/sign-in/${issuer}`, {
    method: 'POST',
    headers: { ...pageHeaders, 'x-forwarded-for': browser.from, ...headers },
    body: JSON.stringify({ view })
  })
  const [cookie = ''] = answer.headers.getSetCookie()
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
  const jar = browser.cookies.get(controller.url) ?? new Map<string, string>()
  browser.cookies.set(controller.url, jar)
  if (name !== '') jar.set(name, value)
  return { status: answer.status, cookie, body: (await answer.json()) as Record<string, string> }
}
const whoIs = async (controller: RealController, browser: SimpleBrowser) => {
  const cookie = browser.cookiesFor(controller.url)
  const answer = await fetch(`${controller.url}/v1/session`, {
    headers: { cookie, 'x-forwarded-for': browser.from }
  })
  return { status: answer.status, body: await answer.json() }
}
const door = async (controller: RealController, browser: SimpleBrowser) =>
  (await (await browser.visit(`${controller.url}/v1/sign-in`)).json()) as {
    issuers: object[]
    refusal: string | null
  }

const startScene = async (t: Test, areClaimsInIdToken = true) => {
  const [clock, steadyClock] = [new HandClock(), new HandClock()]
  clock.move(Date.now() - clock.nowMs())
  const controller = await startRealController(t, {}, { clock, steadyClock, random: systemRandom })
  const callback = `${controller.url}/v1/sign-in/corp/callback`
  const issuer = await startSignInIssuer(t, [callback], areClaimsInIdToken)
  issuer.people.set('ada', { email: 'ada@example.com', email_verified: true, groups: ['staff', 'ops'] })
  issuer.people.set('eve', { email: 'eve@example.com', groups: ['staff'] })
  const signIn = { ...issuer.client, scopes: ['groups'], pageUrl: controller.url }
  const set = (change: object = {}, name = 'corp') =>
    controller.ask('PUT', `/v1/issuers/${name}`, { body: { url: issuer.url, rules: ops, signIn, ...change } })
  /** All the way to where the issuer sends the browser back to, which is not asked yet. */
  const comeBack = async (browser: SimpleBrowser, login: string) => {
    const { body } = await begin(controller, browser)
    return browser.signIn(body['url'] ?? '', login, callback)
  }
  /** @returns what the page says of it */
  const refusalOf = async (browser: SimpleBrowser, address: string) => {
    const answer = await browser.visit(address)
    t.match(answer, { status: 303 })
    t.match(answer.headers.get('location'), /^\.\.\/\.\.\/\.\.\/#\/(?:tokens)?$/)
    t.equal((await whoIs(controller, browser)).status, 401)
    return (await door(controller, browser)).refusal
  }
  return { controller, clock, issuer, callback, signIn, set, comeBack, refusalOf }
}

t.test('whoever the issuer says is in the group is signed in, as long as a rule says so', async (t) => {
  const { controller, issuer, callback, signIn, set } = await startScene(t)
  t.match(await set(), {
    status: 200,
    body: { audience: 'longshore', signIn: { clientId: 'longshore', redirectUri: callback } }
  })
  const listed = await controller.ask('GET', '/v1/issuers')
  t.notMatch(JSON.stringify(listed.body), /secret|sealed/i)
  const browser = openSimpleBrowser()
  t.same(await door(controller, browser), {
    issuers: [{ name: 'corp', pageUrl: controller.url }],
    refusal: null
  })
  const begun = await begin(controller, browser)
  t.match(begun.cookie, /^longshore-sign-in=[\w.-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/)
  const address = new URL(begun.body['url'] ?? '')
  t.match(Object.fromEntries(address.searchParams), {
    response_type: 'code',
    scope: 'openid profile email groups',
    redirect_uri: callback,
    code_challenge_method: 'S256'
  })
  const back = await browser.signIn(address.href, 'ada', callback)
  const answer = await browser.visit(back)
  t.equal(answer.status, 303)
  t.equal(answer.headers.get('location'), '../../../#/tokens')
  t.match(answer.headers.getSetCookie(), [/^longshore=[\w.-]+; .*SameSite=Strict$/, /^longshore-sign-in=; /])
  const who = { name: 'oidc:corp/ada (ada@example.com)', allow: ['deploy:staging/*', 'audit:*/*'] }
  t.match(await whoIs(controller, browser), { status: 200, body: who })
  const cookie = browser.cookiesFor(controller.url)
  const change = (path: string, body: object) =>
    fetch(controller.url + path, {
      method: 'POST',
      headers: { ...pageHeaders, cookie },
      body: JSON.stringify(body)
    })
  t.equal((await change('/v1/environments', { name: 'more' })).status, 403)
  const audit = await controller.ask('GET', '/v1/audit?limit=5')
  t.match(JSON.stringify(audit.body), /"actorId":"oidc:corp\/ada","actorName":"oidc:corp\/ada \(ada@/)

  // a secret is kept for the same client at the same place, and for no other one
  const { clientSecret: _, ...withoutSecret } = signIn
  const narrow = [{ claims: { groups: 'staff' }, allow: ['read:staging/*'] }]
  t.match(await set({ signIn: withoutSecret, rules: narrow }), { status: 200 })
  t.match(
    await whoIs(controller, browser),
    { status: 401, body: { detail: /sign in again/ } },
    'not in the session'
  )
  await set({ signIn: withoutSecret, rules: [...ops, ...narrow] })
  t.match(await whoIs(controller, browser), { status: 200, body: who })
  for (const other of [{ clientId: 'other' }, {}]) {
    const url = 'clientId' in other ? issuer.url : 'https://evil.example.com'
    const refused = await set({ url, signIn: { ...withoutSecret, ...other } })
    t.match(refused, { status: 400, body: { detail: /needs its client secret/ } })
  }
  await controller.stop()
  await controller.start()
  t.equal(
    (await fetch(`${controller.url}/v1/session`, { headers: { cookie } })).status,
    200,
    'over a restart'
  )
  await controller.ask('DELETE', '/v1/issuers/corp')
  t.equal((await fetch(`${controller.url}/v1/session`, { headers: { cookie } })).status, 401, 'removed')

  await controller.stop()
  const file = join(controller.dataDir, 'controller.db')
  const store = await openStore({ path: file })
  t.notMatch(JSON.stringify(await store.audit({ limit: 100 })), issuer.client.clientSecret)
  await store.close()
  t.notOk((await readFile(file)).includes(issuer.client.clientSecret), 'sealed at rest')
  await controller.start()
})

t.test('groups that the ID token does not have are asked for', async (t) => {
  const { controller, set, comeBack, refusalOf } = await startScene(t, false)
  await set()
  const browser = openSimpleBrowser()
  t.match(await browser.visit(await comeBack(browser, 'ada')), { status: 303 })
  t.match(await whoIs(controller, browser), { body: { name: 'oidc:corp/ada (ada@example.com)' } })
  const other = openSimpleBrowser()
  t.match(
    await refusalOf(other, await comeBack(other, 'eve')),
    /no rule of issuer corp fits: rule 1 \(groups is/
  )
})

t.test('an answer counts once, in the browser that asked, and for ten minutes', async (t) => {
  const { controller, clock, callback, set, comeBack, refusalOf } = await startScene(t)
  await set()
  const other = openSimpleBrowser()
  const browser = openSimpleBrowser()
  const cookie = () => browser.cookies.get(controller.url) ?? new Map<string, string>()

  t.match(await refusalOf(other, await comeBack(browser, 'ada')), /this browser has begun no such sign-in/)
  await comeBack(other, 'ada')
  t.match(
    await refusalOf(other, await comeBack(browser, 'ada')),
    /of another sign-in: start again/,
    'its own cookie'
  )
  const changed = new URL(await comeBack(browser, 'ada'))
  changed.searchParams.set('state', 'guessed')
  t.match(await refusalOf(browser, changed.href), /of another sign-in: start again/)

  const back = await comeBack(browser, 'ada')
  const kept = new Map(cookie())
  t.match(await browser.visit(back), { status: 303 })
  t.equal((await whoIs(controller, browser)).status, 200)
  browser.cookies.set(controller.url, new Map())
  t.match(await refusalOf(browser, back), /begun no such sign-in/, 'again, with the cookie gone')
  browser.cookies.set(controller.url, kept)
  t.match(await refusalOf(browser, back), /did not let you in: it said invalid_grant/, 'with the cookie')

  const late = await comeBack(browser, 'ada')
  clock.move(600_000)
  t.match(await refusalOf(browser, late), /within 10 minutes: start again/)

  const denying = openSimpleBrowser()
  const { body } = await begin(controller, denying)
  const denied = await denying.signIn(body['url'] ?? '', null, callback)
  t.match(await refusalOf(denying, denied), /issuer corp did not let you in: it said access_denied/)
  t.equal((await door(controller, denying)).refusal, null, 'said once')

  const removed = await comeBack(browser, 'ada')
  await controller.ask('DELETE', '/v1/issuers/corp')
  t.match(await refusalOf(browser, removed), /nobody signs in with an issuer corp/)
  t.match(await refusalOf(browser, `${controller.url}/v1/sign-in/corp/callback`), /begun no such/)
})

t.test('an issuer that is down harms nobody else, and is said', async (t) => {
  const { controller, issuer, signIn, set, comeBack, refusalOf } = await startScene(t)
  const browser = openSimpleBrowser()
  await set()
  const back = await comeBack(browser, 'ada')
  issuer.answer = (_request, response) => response.writeHead(500).end()
  t.match(await refusalOf(browser, back), /issuer corp: 127\S+ answered with HTTP status 500/)
  issuer.answer = null
  const other = openSimpleBrowser()
  t.match(await refusalOf(other, await comeBack(other, 'eve')), /groups is another/, 'and is back at once')
  await set({ signIn: { ...signIn, clientSecret: 'wrong' } })
  t.match(await refusalOf(browser, await comeBack(browser, 'ada')), /it said invalid_client/)
  await issuer.stop()
  await set({ url: 'http://127.0.0.1:1' })
  t.match(await begin(controller, browser), { status: 503, body: { code: 'issuer-unavailable' } })
  const token = { method: 'POST', headers: pageHeaders, body: JSON.stringify({ token: controller.token }) }
  t.equal((await fetch(`${controller.url}/v1/session`, token)).status, 204)
})

t.test('an ID token that is not exactly the one which was asked for lets nobody in', async (t) => {
  const controller = await startRealController(t)
  const issuer = await startIssuer(t, { audience: 'longshore', subject: 'ada' })
  const evil = await startIssuer(t, { audience: 'longshore', subject: 'ada' })
  const person = { aud: 'longshore', groups: ['ops'], email: 'ada@example.com' }
  let idToken: (nonce: string) => Promise<string> | string = () => ''
  let nonce = ''
  const own = { authorization_endpoint: `${issuer.url}/auth`, token_endpoint: `${issuer.url}/token` }
  issuer.answer = (path, response) => {
    const json = (document: object): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
    }
    if (path.endsWith('/jwks')) json(issuer.keys())
    else if (path.endsWith('/token'))
      void Promise.resolve(idToken(nonce)).then((id_token) =>
        json({ access_token: 'a', token_type: 'bearer', id_token })
      )
    else json({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, ...own })
  }
  const signIn = { clientId: 'longshore', clientSecret: 's', pageUrl: controller.url }
  const set = (change: object = {}) =>
    controller.ask('PUT', '/v1/issuers/corp', { body: { url: issuer.url, rules: ops, signIn, ...change } })
  await set()
  let browser = openSimpleBrowser()
  const attempt = async (make: typeof idToken) => {
    browser = openSimpleBrowser()
    idToken = make
    const { body } = await begin(controller, browser)
    const asked = new URL(body['url'] ?? '').searchParams
    nonce = asked.get('nonce') ?? ''
    await browser.visit(`${controller.url}/v1/sign-in/corp/callback?code=1&state=${asked.get('state')}`)
    return (await door(controller, browser)).refusal
  }
  const seconds = Math.floor(Date.now() / 1000)
  const wrong: [string, typeof idToken, RegExp][] = [
    ['another nonce', () => issuer.token({ ...person, nonce: 'x' }), /nonce/],
    ['no nonce', () => issuer.token(person), /nonce/],
    ['another audience', (nonce) => issuer.token({ ...person, nonce, aud: 'other' }), /aud/],
    [
      'more audiences',
      (nonce) => issuer.token({ ...person, nonce, aud: ['longshore', 'x'] }),
      /additional untrusted audiences/
    ],
    ['another issuer', (nonce) => issuer.token({ ...person, nonce, iss: evil.url }), /iss/],
    ['expired', (nonce) => issuer.token({ ...person, nonce, exp: seconds - 61 }), /exp/],
    ['an odd subject', (nonce) => issuer.token({ ...person, nonce, sub: 'a\n' }), /subject/],
    ['a foreign key', (nonce) => evil.token({ ...person, nonce, iss: issuer.url }), /key that its issuer/],
    [
      'a foreign signature',
      async (nonce) => (await issuer.token({ ...person, nonce })).replace(/.{9}$/, 'AAAAAAAAA'),
      /signature/
    ],
    ['none', () => '', /ID Token|id_token/],
    [
      'too many groups',
      (nonce) => issuer.token({ ...person, nonce, groups: many }),
      /more groups than a browser/
    ]
  ]
  const many = Array.from({ length: 60 }, (_, index) => `ops-${index}-${'x'.repeat(60)}`)
  for (const [name, make, says] of wrong) {
    if (name === 'too many groups')
      await set({ rules: [{ claims: { groups: 'ops*' }, allow: ['read:*/*'] }] })
    t.match(await attempt(make), says, name)
    t.equal((await whoIs(controller, browser)).status, 401, name)
  }
  await set()
  let last = ''
  const good = async (nonce: string) => {
    last = await issuer.token({ ...person, nonce, groups: [...many, 'ops'] })
    return last
  }
  t.equal(await attempt(good), null)
  t.match(await whoIs(controller, browser), {
    status: 200,
    body: { name: 'oidc:corp/ada (ada@example.com)' }
  })

  // neither purpose of an issuer serves the other one
  t.match(await controller.ask('GET', '/v1/info', { token: last, from: '192.0.2.9' }), { status: 401 })
  const ci = { url: issuer.url, rules: [{ claims: { sub: 'build' }, allow: ['read:*/*'] }] }
  await controller.ask('PUT', '/v1/issuers/ci', { body: ci })
  t.match(await controller.ask('GET', '/v1/info', { token: last, from: '192.0.2.9' }), { status: 401 })
  const build = { aud: controller.installation, sub: 'build', groups: ['ops'] }
  const info = await controller.ask('GET', '/v1/info', { token: await issuer.token(build) })
  t.match(info, { status: 200, body: { caller: { name: 'oidc:ci/build', allow: ['read:*/*'] } } })
  t.match(await attempt((nonce) => issuer.token({ ...build, nonce })), /aud/)
})

t.test(
  'a client of the page is set by whoever may manage every token, and only for safe addresses',
  async (t) => {
    const { controller, signIn, set } = await startScene(t)
    const narrow = await controller.tokenFor('tokens:staging/*', 'deploy:staging/*', 'read:staging/*')
    const body = {
      url: 'https://corp.example.com',
      rules: [{ claims: { a: 'b' }, allow: ['read:staging/*'] }],
      signIn
    }
    t.match(await controller.ask('PUT', '/v1/issuers/mine', { token: narrow, body }), {
      status: 403,
      body: { detail: /tokens:\*\/\*/ }
    })
    for (const pageUrl of ['http://ops.example.com', 'javascript:alert(1)', 'https://a.example.com/?x'])
      t.match(await set({ signIn: { ...signIn, pageUrl } }), {
        status: 400,
        body: { detail: /URL of the page/ }
      })
    t.match(await set({ audience: 'x' }), { status: 400, body: { detail: /audience/ } })
    await set()
    const browser = openSimpleBrowser()
    for (const view of [
      'https://evil.example.com',
      '//evil.example.com',
      '#/\\evil',
      '#/a b',
      'javascript:1'
    ])
      t.equal((await begin(controller, browser, { view })).status, 400, view)
    t.equal((await begin(controller, browser, { headers: { 'sec-fetch-site': 'cross-site' } })).status, 403)
    t.equal((await begin(controller, browser, { issuer: 'nobody' })).status, 404)
    const { cookie } = await begin(controller, browser, { headers: { 'x-forwarded-proto': 'https' } })
    t.match(cookie, /^__Host-longshore-sign-in=.*; Path=\/; .*SameSite=Lax; Secure$/)
  }
)
