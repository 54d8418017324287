// The agent's door to the controller's images: what it lets through and how, over real sockets on loopback.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createSecureContext } from 'node:tls'
import t, { type Test } from 'tap'
import { createArtifactDoor } from '../../packages/agent/src/adapters/door/artifact-door.ts'
import { readBlobHead } from '../../packages/agent/src/adapters/door/relay-blob.ts'
import { makeAuthority } from '../support/authority.ts'
import { makeTestFolder } from '../support/real-parts.ts'

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
      'content-length': isPart ? 10 : content.length,
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

t.test('whatever the controller answers, the engine gets that', async (t) => {
  const content = randomBytes(300_000)
  const { name, fetchAt } = await open(t, (request, response) => {
    const length = { 'content-length': content.length }
    const answers: Record<string, () => unknown> = {
      '/chunked': () => response.end(content),
      '/empty': () => response.writeHead(200, { 'content-length': 0 }).end(),
      '/twice': () => response.writeHead(200, { ...length, 'x-note': ['a', 'b'] }).end(content),
      '/missing': () => response.writeHead(404, { 'content-length': 4 }).end('none'),
      '/unchanged': () => response.writeHead(304, length).end(),
      '/early': () => {
        response.writeEarlyHints({ link: '</a>; rel=preload' })
        response.writeHead(200, length).end(content)
      },
      '/pieces': () => {
        response.writeHead(200, length)
        for (let at = 0; at < content.length; at += 1000) response.write(content.subarray(at, at + 1000))
        response.end()
      }
    }
    answers[request.headers.accept ?? '']?.()
  })
  const ask = async (accept: string) => {
    const answer = await fetchAt(`${name}/${blob}`, { headers: { accept } })
    return [answer.status, Buffer.from(await answer.arrayBuffer())] as const
  }
  for (const accept of ['/chunked', '/twice', '/early', '/pieces'])
    t.same(await ask(accept), [200, content], accept)
  t.same(await ask('/empty'), [200, Buffer.alloc(0)])
  t.same(await ask('/missing'), [404, Buffer.from('none')])
  t.same(await ask('/unchanged'), [304, Buffer.alloc(0)])
})

t.test('over TLS blobs come only from the controller that its certificate names', async (t) => {
  const authority = await makeAuthority(makeTestFolder(t), '127.0.0.1')
  const { cert, key } = await authority.certify('controller')
  const content = randomBytes(2_000_000)
  const server = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) =>
    response.writeHead(200, { 'content-length': content.length }).end(content)
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  const fetchWith = async (ca: string | undefined, host: string) => {
    const base = new URL(`https://${host}:${String(port)}`)
    const tls = createSecureContext(ca === undefined ? {} : { ca })
    const door = createArtifactDoor({ base, tls, token: async () => 'token', randomBytes, log: silent })
    const { repository, close } = await door.open('team/api')
    const [address = '', ...path] = repository.split('/')
    const answer = await fetch(`http://${address}/v2/${path.join('/')}/${blob}`)
    const body = Buffer.from(await answer.arrayBuffer())
    await close()
    return [answer.status, body.equals(content)]
  }
  const ca = readFileSync(authority.caFile, 'utf8')
  t.same(await fetchWith(ca, '127.0.0.1'), [200, true])
  t.same(await fetchWith(undefined, '127.0.0.1'), [503, false], 'of another authority')
  t.same(await fetchWith(ca, 'localhost'), [503, false], 'for another name')
})

t.test('a head that could be read in two ways is left to the ordinary client', (t) => {
  const read = (...lines: string[]) => readBlobHead(lines.join('\r\n'))
  t.match(read('HTTP/1.1 206 Partial Content', 'ETag:  "a" ', 'Content-Length: 3'), {
    status: 206,
    headers: { etag: '"a"' },
    lengthBytes: 3
  })
  for (const lines of [
    ['HTTP/1.1 200 OK'],
    ['HTTP/1.1 404 Not Found', 'content-length: 3'],
    ['HTTP/1.1 100 Continue', 'content-length: 3'],
    ['HTTP/2 200', 'content-length: 3'],
    ['HTTP/1.1 200 OK', 'content-length: 3', 'transfer-encoding: chunked'],
    ['HTTP/1.1 200 OK', 'content-length: 3', 'content-length: 4'],
    ['HTTP/1.1 200 OK', 'content-length: +3'],
    ['HTTP/1.1 200 OK', 'content-length: 3', ' folded'],
    ['HTTP/1.1 200 OK', 'content-length : 3']
  ])
    t.equal(read(...lines), undefined, lines.join(' | '))
  t.end()
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
  const away = await fetchAt(`${name}/manifests/1`)
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

t.test('a blob is waited for while the controller starts anew', async (t) => {
  const { controller, name, fetchAt } = await open(t, () => undefined)
  const { port } = controller.address() as AddressInfo
  controller.close()
  await once(controller, 'close')
  const asked = fetchAt(`${name}/${blob}`)
  const again = createServer((_request, response) => response.end('content'))
  t.teardown(() => again.close())
  // by then the door has been refused
  const manifest = await fetchAt(`${name}/manifests/1`)
  t.equal(manifest.status, 503, 'what is asked for first is not')
  again.listen(port, '127.0.0.1')
  const answer = await asked
  t.equal(answer.status, 200)
  t.equal(await answer.text(), 'content')
})
