// The agent's door to the controller's images: what it lets through and how, over real sockets on loopback.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createArtifactDoor } from '../../packages/agent/src/adapters/artifact-door.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const blob = `blobs/sha256:${'ab'.repeat(32)}`

/** A controller of one handler, and a door to it. */
const open = async (test: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  const controller = createServer(answer)
  controller.listen(0, '127.0.0.1')
  await once(controller, 'listening')
  test.teardown(() => {
    controller.close()
    controller.closeAllConnections()
  })
  const { port } = controller.address() as AddressInfo
  let tokens = 0
  const door = createArtifactDoor({
    base: new URL(`http://127.0.0.1:${String(port)}/prefix/`),
    tls: null,
    token: async () => {
      tokens += 1
      return `token-${String(tokens)}`
    },
    randomBytes,
    log: silent
  })
  const { repository, close } = await door.open('registry.test:5000/team/api')
  test.teardown(close)
  const [address = '', ...path] = repository.split('/')
  const name = path.join('/')
  const fetchAt = (rest: string, init: RequestInit = {}) => fetch(`http://${address}/v2/${rest}`, init)
  return { controller, door, close, address, name, fetchAt }
}

t.test('reads go to the controller with a token, and come back as they are', async (t) => {
  const seen: {
    url?: string | undefined
    method?: string | undefined
    headers: IncomingMessage['headers']
  }[] = []
  const content = randomBytes(3 * 1024 * 1024)
  const { name, address, fetchAt } = await open(t, (request, response) => {
    seen.push({ url: request.url, method: request.method, headers: request.headers })
    const isPart = request.headers.range !== undefined
    response.writeHead(isPart ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'docker-content-digest': 'sha256:aa',
      ...(isPart && { 'content-range': `bytes 10-19/${String(content.length)}` }),
      'x-secret': 'stays'
    })
    response.end(isPart ? content.subarray(10, 20) : content)
  })
  t.match(address, /^127\.0\.0\.1:\d+$/)
  t.match(name, /^longshore-[0-9a-f]{32}\/registry\.test\.port-5000\/team\/api$/)
  const whole = await fetchAt(`${name}/${blob}`, {
    headers: { accept: 'a/b', cookie: 'c', authorization: 'mine' }
  })
  t.equal(whole.status, 200)
  t.equal(Buffer.compare(Buffer.from(await whole.arrayBuffer()), content), 0)
  t.equal(whole.headers.get('docker-content-digest'), 'sha256:aa')
  t.equal(whole.headers.get('x-secret'), null)
  const part = await fetchAt(`${name}/${blob}`, { headers: { range: 'bytes=10-19' } })
  t.equal(part.status, 206)
  t.match(part.headers.get('content-range'), /^bytes 10-19\//)
  t.equal((await part.arrayBuffer()).byteLength, 10)
  t.match(seen, [
    {
      method: 'GET',
      url: `/prefix/v2/registry.test.port-5000/team/api/${blob}`,
      headers: { authorization: 'Bearer token-1', accept: 'a/b' }
    },
    { headers: { authorization: 'Bearer token-2', range: 'bytes=10-19' } }
  ])
  t.notOk(seen.some(({ headers }) => 'cookie' in headers))
})

t.test('nothing else is let through, and nothing once it is closed', async (t) => {
  let asked = 0
  const { name, fetchAt, close, address } = await open(t, (_request, response) => {
    asked += 1
    response.end()
  })
  const denied = await fetchAt(`registry.test.port-5000/team/api/${blob}`)
  t.equal(denied.status, 403, 'without the key')
  t.match(await denied.json(), { errors: [{ code: 'DENIED' }] })
  for (const method of ['PUT', 'POST', 'PATCH', 'DELETE'])
    t.equal((await fetchAt(`${name}/${blob}`, { method })).status, 403, method)
  t.equal((await fetchAt('_catalog')).status, 403)
  t.equal(asked, 0)
  t.equal((await fetchAt('')).status, 200, 'an engine asks first who is there')
  t.equal(asked, 1)
  await close()
  await t.rejects(fetch(`http://${address}/v2/`))
})

t.test('it stays open as long as any run needs it', async (t) => {
  const { door, close, fetchAt, name } = await open(t, (_request, response) => void response.end('x'))
  const second = await door.open('nginx')
  await close()
  t.equal((await fetchAt(`${name}/${blob}`)).status, 403, 'the first run has ended')
  const [address = '', ...path] = second.repository.split('/')
  t.match(second.repository, /\/docker\.io\/library\/nginx$/)
  t.equal((await fetch(`http://${address}/v2/${path.join('/')}/${blob}`)).status, 200)
  await second.close()
  const third = await door.open('nginx')
  t.not(third.repository, second.repository)
  await third.close()
})

t.test('an answer that breaks off breaks off, and a controller that is away is said to be', async (t) => {
  const { name, fetchAt, controller } = await open(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('some of it', () => response.destroy())
  })
  const broken = await fetchAt(`${name}/${blob}`)
  await t.rejects(broken.arrayBuffer())
  controller.close()
  controller.closeAllConnections()
  const away = await fetchAt(`${name}/${blob}`)
  t.equal(away.status, 503)
  t.match(await away.json(), { errors: [{ code: 'UNAVAILABLE', message: /controller does not answer/ }] })
})

t.test('an engine that reads slowly slows the controller down', async (t) => {
  const total = 64 * 1024 * 1024
  let sent = 0
  const { name, address } = await open(t, (_request, response) => {
    response.writeHead(200, { 'content-length': String(total) })
    const chunk = Buffer.alloc(64 * 1024)
    const more = (): void => {
      while (sent < total) {
        sent += chunk.length
        if (!response.write(chunk)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  })
  const answer = await fetch(`http://${address}/v2/${name}/${blob}`)
  let [received, furthestAhead] = [0, 0]
  for await (const chunk of answer.body ?? []) {
    received += chunk.length
    furthestAhead = Math.max(furthestAhead, sent - received)
    // slower than the controller, which could send several pieces meanwhile
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
  }
  t.equal(received, total)
  t.ok(furthestAhead < total / 4, `the controller was ${furthestAhead} bytes ahead at most`)
})
