// Webhooks over real HTTP: the sender against receivers of every kind, and a real controller whose receivers refuse,
// are slow, are gone or die, and which is itself killed while it sends.
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { importVerifyKey, joinClaims, keyAnnouncement, readUnverified } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { createSealer } from '../../packages/controller/src/adapters/keys/sealing-key.ts'
import { createWebhookSender } from '../../packages/controller/src/adapters/webhooks/send.ts'
import { notice, type WebhookView } from '../../packages/controller/src/api/schemas.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { makeAuthority } from '../support/authority.ts'
import { type Controller, startTestController } from '../support/processes.ts'
import { type RealController, specOf, startRealController } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

t.setTimeout(120_000)

type Taken = { id: string; path: string; body: string; isGood: boolean; type: string }
type Receiver = {
  url: string
  taken: Taken[]
  /** What the next requests are answered with; without one: 204. `never`: not at all. */
  answers: (number | 'never' | ((response: ServerResponse) => void))[]
  types(): string[]
}
/** As a receiver in the documentation would: by what the specification says, and nothing of ours. */
const isSignedWith = (secret: string, { headers }: IncomingMessage, body: string): boolean => {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const age = Math.abs(Date.now() / 1000 - Number(headers['webhook-timestamp']))
  const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
  return headers['webhook-signature'] === expected && age < 300
}

const listening = async (t: Test, server: Server & { closeAllConnections(): void }): Promise<number> => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const startReceiver = async (t: Test, path: string, secret: () => string): Promise<Receiver> => {
  const taken: Taken[] = []
  const answers: Receiver['answers'] = []
  const hear: RequestListener = async (request, response) => {
    const body = await text(request)
    const id = String(request.headers['webhook-id'])
    const { type } = JSON.parse(body) as { type: string }
    taken.push({ id, path: request.url ?? '', body, type, isGood: isSignedWith(secret(), request, body) })
    const answer = answers.shift() ?? 204
    if (typeof answer === 'function') answer(response)
    else if (answer !== 'never') response.writeHead(answer).end()
  }
  const server = createServer((request, response) => void hear(request, response))
  const port = await listening(t, server)
  return {
    url: `http://127.0.0.1:${port}${path}`,
    taken,
    answers,
    types: () => taken.map(({ type }) => type)
  }
}

const never = new AbortController().signal
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', atMs: 1_614_265_330_000, body: '{"test": 2432232314}' }
const sender = createWebhookSender({ ca: null, userAgent: 'longshore/test', answerWithinMs: 300 })

/** A server for one test of the sender. */
const serve = async (t: Test, hear: RequestListener): Promise<string> =>
  `http://127.0.0.1:${await listening(t, createServer(hear))}/hook/secret-path?key=secret-key`

t.test('a notification is signed as the specification says', async (t) => {
  const heard: IncomingMessage['headers'][] = []
  const url = await serve(t, (request, response) => {
    heard.push(request.headers)
    response.end('fine')
  })
  t.same(await sender.send({ url, secret }, message, never), { status: 200, detail: '200 fine' })
  t.match(heard, [
    {
      'content-type': 'application/json',
      'user-agent': 'longshore/test',
      'webhook-id': message.id,
      'webhook-timestamp': '1614265330',
      // printf '%s' 'ID.TIMESTAMP.BODY' | openssl dgst -sha256 -mac HMAC -macopt hexkey:... -binary | base64
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    }
  ])
  await sender.send({ url, secret: null }, message, never)
  t.equal(heard[1]?.['webhook-signature'], undefined, 'a chat gets no signature')
})

t.test('a redirect is not followed, and what a receiver repeats of its URL is not kept', async (t) => {
  let count = 0
  const url = await serve(t, (request, response) => {
    count += 1
    response.writeHead(302, { location: '/elsewhere' }).end(`moved ${request.url}\n\u001b[31m secret-path`)
  })
  const { status, detail } = await sender.send({ url, secret }, message, never)
  t.equal(status, 302)
  t.equal(detail, '302 moved …… [31m …')
  t.equal(count, 1)
})

t.test('a receiver that does not answer in time, dies or is not there gave no answer', async (t) => {
  const slow = await serve(t, () => {})
  const late = await sender.send({ url: slow, secret }, message, never)
  t.same(late, { status: null, detail: 'no answer within 0.3 s' })
  const dying = await serve(t, (request) => request.socket.destroy())
  t.match(await sender.send({ url: dying, secret }, message, never), { status: null, detail: /^no answer: / })
  const gone = { url: 'http://127.0.0.1:1/', secret }
  t.match(await sender.send(gone, message, never), { status: null, detail: /ECONNREFUSED/ })
})

t.test('the status counts although the body never ends, and little of it is read', async (t) => {
  const endless = await serve(t, (_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(500)));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  })
  const flood = await sender.send({ url: endless, secret }, message, never)
  t.equal(flood.status, 200)
  t.equal(flood.detail.length, '200 '.length + 1024)
  const stuck = await serve(t, (_request, response) => void response.write('well'))
  t.same(await sender.send({ url: stuck, secret }, message, never), { status: 200, detail: '200 well' })
})

t.test('over TLS only an authority that is trusted counts', async (t) => {
  const authority = await makeAuthority(t.testdir({}), '127.0.0.1')
  const { cert, key } = await authority.certify('receiver')
  const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_request, response) =>
    response.end()
  )
  const to = { url: `https://127.0.0.1:${await listening(t, server)}/`, secret }
  const unknowing = createWebhookSender({ ca: null, userAgent: 'longshore/test' })
  t.match(await unknowing.send(to, message, never), {
    status: null,
    detail: /unable to|self-signed|certificate/
  })
  const ca = readFileSync(authority.caFile, 'utf8')
  const trusting = createWebhookSender({ ca, userAgent: 'longshore/test' })
  t.same(await trusting.send(to, message, never), { status: 200, detail: '200' })
})

t.test('secrets are sealed with a key of their own, which others must not read', async (t) => {
  const folder = t.testdir({})
  const first = await createSealer(folder).seal('hunter2')
  t.notMatch(Buffer.from(first, 'base64').toString(), /hunter2/)
  t.match(JSON.parse(Buffer.from(first.split('.')[0] ?? '', 'base64url').toString()), {
    alg: 'dir',
    enc: 'A256GCM'
  })
  const path = join(folder, 'sealing-key.json')
  t.equal((await stat(path)).mode & 0o777, 0o600)
  t.equal(await createSealer(folder).open(first), 'hunter2', 'the next start reads it')
  const other = t.testdir({ other: {} })
  const foreign = createSealer(join(other, 'other'))
  await t.rejects(foreign.open(first), { code: 'data-missing' }, 'opening makes no key')
  await foreign.seal('x')
  await t.rejects(foreign.open(first))
  await writeFile(path, '{}', { mode: 0o600 })
  await t.rejects(createSealer(folder).open(first), { code: 'key-unusable' })
})

t.test('webhooks belong to those who may manage every environment that they tell of', async (t) => {
  const controller = await startRealController(t)
  const { ask } = controller
  const make = (name: string, environments: string[], token = controller.token) =>
    ask('POST', '/v1/webhooks', { body: { name, url: 'https://example.com/x', environments }, token })
  await make('all', [])
  await make('both', ['staging', 'production'])
  const narrow = await controller.tokenFor('webhooks:staging/*')
  t.match(await make('mine', ['staging'], narrow), { status: 201 })
  t.match(await make('more', ['staging', 'production'], narrow), { status: 403 })
  t.match(await make('more', [], narrow), { status: 403, body: { detail: /webhooks:\*\/\*/ } })
  const { body } = await ask('GET', '/v1/webhooks', { token: narrow })
  t.match(body, [{ name: 'mine', target: 'https://example.com/…', createdBy: 'test' }])
  t.notMatch(JSON.stringify(body), /sealed|whsec_/)
  const hidden = await ask('DELETE', '/v1/webhooks/both', { token: narrow })
  t.match(hidden, { status: 404, body: { code: 'unknown-webhook', known: ['mine'] } })
})

t.test('a controller does not start with authorities that it cannot read', async (t) => {
  const controller = await startRealController(t)
  await controller.stop()
  for (const caFile of ['/nowhere.pem', join(controller.dataDir, 'signing-key.json')]) {
    await t.rejects(controller.start({ caFile }), { code: 'invalid-setting', message: /^caFile: / })
  }
  await controller.start()
})

/** Faster than the real one: two waits, of 5 s and 15 s, pass in two seconds. Sessions feel it too, so no faster. */
const speed = 10
const fastClock = (nowMs: () => number) => {
  const startMs = nowMs()
  const now = (): number => startMs + (nowMs() - startMs) * speed
  return {
    nowMs: now,
    at: (atMs: number, wake: () => void) => {
      const timer = setTimeout(wake, Math.max(1, Math.ceil((atMs - now()) / speed) + 1)).unref()
      return () => clearTimeout(timer)
    }
  }
}
const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) }
const webhookOf = async ({ ask }: RealController, name: string): Promise<WebhookView> => {
  const { body } = await ask('GET', '/v1/webhooks')
  const found = (body as unknown as WebhookView[]).find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no webhook ${name}`)
  return found
}

t.test('receivers that refuse, are slow, or are gone, and one lost host', async (t) => {
  const parts = { clock: fastClock(Date.now), steadyClock: fastClock(() => performance.now()), random }
  const controller = await startRealController(t, { lostAfterMs: 2_000 }, parts)
  const { ask } = controller
  const secrets: Record<string, string> = {}
  const make = async (name: string, change: object = {}): Promise<Receiver> => {
    const receiver = await startReceiver(t, `/${name}`, () => secrets[name] ?? '')
    const { status, body } = await ask('POST', '/v1/webhooks', {
      body: { name, url: receiver.url, ...change }
    })
    t.equal(status, 201)
    secrets[name] = String(body['secret'])
    return receiver
  }
  const quick = await make('quick', { environments: ['staging'] })
  const refusing = await make('refusing', { events: ['deployment.succeeded'] })
  const gone = await make('gone')
  const slow = await make('slow')
  const elsewhere = await make('elsewhere', { environments: ['production'] })
  refusing.answers.push(503, 500)
  gone.answers.push(410)
  slow.answers.push('never')

  await ask('PUT', '/v1/environments/staging/services/api/spec', { body: { spec: specOf() } })
  const machine = await newMachine('web1')
  await enrol(controller.url, machine, (await controller.joinToken()).token)
  const agent = await connectAnswering(controller.url, machine, await controller.trust())
  await waitUntil('the host to be connected', async () => {
    const { body } = await ask('GET', '/v1/agents/web1')
    return body['state'] === 'connected'
  })
  const what = { by: 'tag', tag: '1' }
  const asked = await ask('POST', '/v1/deployments', {
    body: { service: 'api', environment: 'staging', what }
  })
  const id = String(asked.body['id'])
  const ended = await waitUntil('the deployment to end', async () => {
    const { body } = await ask('GET', `/v1/deployments/${id}`)
    return body['phase'] === 'ended' && body
  })
  t.equal(ended['outcome'], 'succeeded', String(ended['reason']))
  await waitUntil('the third try', () => refusing.taken.length === 3)
  await waitUntil(
    'the third try to be noted',
    async () => (await webhookOf(controller, 'refusing')).waiting === 0
  )
  t.equal(new Set(refusing.taken.map(({ id }) => id)).size, 1, 'the same id at each try')
  t.equal(new Set(refusing.taken.map(({ body }) => body)).size, 1)
  t.same(quick.types(), ['deployment.started', 'deployment.succeeded'], 'nobody waited for the others')
  t.match(notice.parse(JSON.parse(quick.taken[1]?.body ?? '')), {
    data: { deployment: id, environment: 'staging', services: [{ tag: '1' }], hosts: [] }
  })
  t.same(gone.types(), ['deployment.started'])
  t.match(await webhookOf(controller, 'gone'), { state: 'disabled', reason: /410/, waiting: 0, givenUp: 1 })
  t.same(slow.types(), ['deployment.started'])
  t.equal((await webhookOf(controller, 'slow')).waiting, 2)

  agent.socket.terminate()
  await waitUntil('the host to be lost', () => quick.types().includes('host.lost'))
  t.match(JSON.parse(quick.taken[2]?.body ?? ''), {
    data: { environment: 'staging', hosts: [{ host: 'web1' }] }
  })
  const back = await connectAnswering(controller.url, machine, await controller.trust())
  await waitUntil('the host to be back', () => quick.types().includes('host.returned'))
  back.socket.terminate()
  t.same(elsewhere.taken, [])
  t.ok(
    [...quick.taken, ...refusing.taken, ...gone.taken].every(({ isGood }) => isGood),
    'each is well signed'
  )
})

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const listOf = async <T>({ url, token }: Controller, path: string): Promise<T[]> => {
  const answer = await fetch(`${url}/v1/${path}`, { headers: { authorization: `Bearer ${token}` } })
  return (await answer.json()) as T[]
}

/** A host that joins, connects, and goes without a word. */
const loseHost = async (controller: Controller): Promise<void> => {
  const { url, cli } = controller
  const token = (await cli('join-token', 'create', '--env', 'staging')).stdout.trim()
  const { installation } = readUnverified('join', token, joinClaims)
  const machine = await newMachine('web1')
  await enrol(url, machine, token)
  const { chain } = (await (await fetch(`${url}/v1/keys`)).json()) as { chain: [string] }
  const key = await importVerifyKey(readUnverified('key', chain[0], keyAnnouncement).key)
  const agent = await connectAnswering(url, machine, { installation, key })
  await waitUntil('the host to be connected', async () => {
    const [host] = await listOf<{ state: string }>(controller, 'agents')
    return host?.state === 'connected'
  })
  agent.socket.terminate()
}

t.test('what is being sent when the controller is killed is sent by the next one', async (t) => {
  const [address, port] = ['127.0.0.1', await freePort()]
  const controller = await startTestController(t, { address, port, args: ['--lost-after', '1s'] })
  const { cli } = controller
  let known = ''
  const receiver = await startReceiver(t, '/hook/very-secret-path', () => known)
  const made = await cli('webhooks', 'create', '--name', 'ops', '--to', receiver.url, '--env', 'staging')
  t.match(made, { exitCode: 2, stderr: /there is no environment staging/ })
  await cli('environments', 'create', 'staging')
  const again = await cli('webhooks', 'create', '--name', 'ops', '--to', receiver.url, '--event', 'host.lost')
  t.match(again, { exitCode: 0, stdout: /^whsec_\S{44}\n$/, stderr: /^webhook whk_\w{20} \(ops\)\n$/ })
  known = again.stdout.trim()
  t.match(await cli('webhooks', 'test', 'ops'), { exitCode: 0, stderr: 'webhook ops took the test: 204\n' })
  receiver.answers.push(500)
  t.match(await cli('webhooks', 'test', 'ops'), {
    exitCode: 4,
    stderr: /ops at http:\S+\/…: 500.*webhook-failed/
  })
  receiver.answers.push('never')
  await loseHost(controller)
  await waitUntil('the first try', () => receiver.taken.length === 3)
  await controller.kill()
  await controller.start()
  await waitUntil('the second try', () => receiver.taken.length === 4)
  const [first, second] = receiver.taken.slice(2)
  t.equal(first?.type, 'host.lost')
  t.same(second, first, 'the same id, the same bytes, signed anew')
  t.ok(receiver.taken.every(({ isGood }) => isGood))
  await waitUntil('the try to be noted', async () => {
    const [webhook] = await listOf<WebhookView>(controller, 'webhooks')
    return webhook?.waiting === 0 && webhook.lastTry?.isDelivered
  })
  t.match(
    (await cli('webhooks', 'list')).stdout,
    /^NAME .*\nops +standard +http:\/\/127\S+\/… +all +host\.lost +active/
  )
  await controller.stop()
  const files = await readdir(controller.dataFolder)
  for (const name of files) {
    const bytes = await readFile(join(controller.dataFolder, name), 'latin1')
    t.notOk(bytes.includes('very-secret-path') || bytes.includes(known), `no secret is readable in ${name}`)
  }
  t.notMatch(controller.process.output, /very-secret-path|whsec_/)
})
