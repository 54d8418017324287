// Signing in from a browser, as far as HTTP goes: what the cookie allows, what other sites cannot do with it, what
// the page may load, and streams that go on where they broke.
import { request } from 'node:http'
import t from 'tap'
import { startRealController } from '../support/real-controller.ts'

type Answer = { status: number; body: string; headers: NodeJS.Dict<string | string[]> }

const asking =
  (url: () => string) =>
  (method: string, path: string, headers: Record<string, string> = {}, body?: object): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const json = body === undefined ? {} : { 'content-type': 'application/json' }
      const sent = request(url() + path, { method, headers: { ...json, ...headers } }, (response) => {
        let text = ''
        response.on('data', (part: Buffer) => {
          text += part.toString()
        })
        const { statusCode: status = 0, headers: got } = response
        response.on('end', () => resolve({ status, body: text, headers: got }))
      })
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })

const page = { 'x-longshore-page': '1' }
const cookieOf = ({ headers }: Answer): string => String(headers['set-cookie']).split(';')[0] ?? ''

t.test('a token becomes a session, which lasts over a restart and ends with the token', async (t) => {
  const controller = await startRealController(t)
  const ask = asking(() => controller.url)
  const { body: made } = await controller.ask('POST', '/v1/api-tokens', {
    body: { name: 'ops', allow: ['read:*/*'] }
  })
  const token = String(made['token'])
  const signedIn = await ask('POST', '/v1/session', page, { token })
  t.equal(signedIn.status, 204)
  t.match(
    String(signedIn.headers['set-cookie']),
    /^longshore=[\w.-]+; Path=\/; Max-Age=43\d{3}; HttpOnly; SameSite=Strict$/
  )
  const cookie = cookieOf(signedIn)
  t.notMatch(cookie, token, 'the token itself cannot be read in it')

  const me = await ask('GET', '/v1/session', { cookie })
  t.match(JSON.parse(me.body), { name: 'ops', allow: ['read:*/*'] })
  await controller.stop()
  await controller.start()
  t.equal((await ask('GET', '/v1/agents', { cookie })).status, 200)
  t.equal((await ask('GET', '/v1/agents', { cookie: `${cookie}x` })).status, 401)

  await controller.ask('DELETE', `/v1/api-tokens/${String(made['id'])}`)
  t.equal((await ask('GET', '/v1/agents', { cookie })).status, 401)
  t.match(
    String((await ask('DELETE', '/v1/session', page)).headers['set-cookie']),
    /^longshore=; Path=\/; Max-Age=0;/
  )
  t.equal((await ask('POST', '/v1/session', page, { token: 'wrong' })).status, 401)
})

t.test('another site can neither use a session nor sign somebody in', async (t) => {
  const controller = await startRealController(t)
  const ask = asking(() => controller.url)
  const cookie = cookieOf(await ask('POST', '/v1/session', page, { token: controller.token }))
  const name = { name: 'made' }
  t.equal((await ask('POST', '/v1/environments', { cookie }, name)).status, 403, 'a form sends no header')
  const cross = { cookie, ...page, 'sec-fetch-site': 'cross-site' }
  t.equal((await ask('POST', '/v1/environments', cross, name)).status, 403)
  t.equal((await ask('GET', '/v1/agents', { cookie, 'sec-fetch-site': 'same-site' })).status, 403)
  t.equal((await ask('POST', '/v1/session', {}, { token: controller.token })).status, 403)
  t.equal(
    (await ask('POST', '/v1/environments', { cookie, ...page, 'sec-fetch-site': 'same-origin' }, name))
      .status,
    201
  )
  const behind = { ...page, 'x-forwarded-proto': 'https' }
  const secure = await ask('POST', '/v1/session', behind, { token: controller.token })
  t.match(String(secure.headers['set-cookie']), /^__Host-longshore=.*; Secure$/, 'a balancer ends TLS')
})

t.test('the page may load nothing but what the controller serves', async (t) => {
  const controller = await startRealController(t)
  const ask = asking(() => controller.url)
  for (const path of ['/', '/page/nothing.js', '/page/..%2f..%2fpackage.json']) {
    const { headers } = await ask('GET', path)
    t.match(
      headers['content-security-policy'],
      /default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/
    )
    t.match(headers, { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
  }
  t.equal((await ask('GET', '/page/..%2f..%2fpackage.json')).status, 404)
})

t.test('a stream that broke goes on after the last event that was seen', async (t) => {
  const controller = await startRealController(t)
  const seen = async (
    lastEventId: string | undefined,
    enough: (text: string) => boolean
  ): Promise<string> => {
    const headers = {
      authorization: `Bearer ${controller.token}`,
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId })
    }
    const stop = new AbortController()
    const response = await fetch(`${controller.url}/v1/events`, { headers, signal: stop.signal })
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (enough(text)) break
    }
    stop.abort()
    return text
  }
  const { enrol, newMachine } = await import('../support/agent-client.ts')
  const { connectAnswering } = await import('../support/answering-agent.ts')
  const machine = await newMachine('web-1')
  await enrol(controller.url, machine, (await controller.joinToken()).token)
  const first = await seen(undefined, (text) => text.includes('"state":"silent"'))
  const [, id = ''] = /^id: (\S+)$/m.exec(first) ?? []
  await connectAnswering(controller.url, machine, await controller.trust())
  const second = await seen(id, (text) => text.includes('"state":"connected"'))
  t.notMatch(second, '"state":"silent"', 'no snapshot is sent again')
  const third = await seen('ctl_of_another_run-7', (text) => text.includes('"state":"connected"'))
  t.match(third, /^id: /m, 'an event of another run begins with how things are')
})
