// What HAProxy does on a port: mode tcp, names that share it, TLS and HTTP/2, upstream connections; and what stands in
// its way: strangers on the port, damaged files, certificates that do not fit, a folder that was lost.
import { copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { ask, freePort, openTestProxy, routeOf, startUpstream } from '../support/haproxy.ts'
import { makeTestFolder, testOnHaproxy } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const startPair = async (t: Test) => {
  const opened = await openTestProxy(t)
  const [published, target] = [await freePort(), await freePort()]
  const a = await startUpstream(t, 'a', '127.0.0.1', target)
  const b = await startUpstream(t, 'b', '127.0.0.2', target)
  return { ...opened, published, target, a, b }
}

/** A line protocol: each line comes back with the name of the server before it. */
const startLines = async (t: Test, name: string, address: string, port: number): Promise<void> => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => socket.write(`${name}:${data}`))
  })
  await new Promise<void>((resolve) => server.listen(port, address, resolve))
  t.teardown(() => server.close())
}

const openLines = async (port: number) => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('connect', resolve))
  return {
    socket,
    say: (line: string) =>
      new Promise<string>((resolve, reject) => {
        socket.once('data', (data) => resolve(data.toString('utf8')))
        socket.once('close', () => reject(new Error('closed')))
        socket.write(line)
      })
  }
}

testOnHaproxy(
  t,
  'mode tcp: open connections stay with their server, new ones go to the new one',
  async (t) => {
    const { proxy } = await openTestProxy(t)
    const [published, target] = [await freePort(), await freePort()]
    await startLines(t, 'a', '127.0.0.1', target)
    await startLines(t, 'b', '127.0.0.2', target)
    const route = (id: string, address: string) =>
      routeOf(published, target, [{ id: id.repeat(64), address }], { mode: 'tcp' })
    await proxy.route(route('a', '127.0.0.1'))
    const first = await openLines(published)
    t.equal(await first.say('1'), 'a:1')
    await proxy.route(route('b', '127.0.0.2'))
    const second = await openLines(published)
    t.equal(await second.say('2'), 'b:2')
    t.equal(await first.say('3'), 'a:3')
    const key = route('b', '127.0.0.2')
    t.same(await proxy.detach(key, ['a'.repeat(64)]), { requests: 1, upgraded: 0 })
    await proxy.closeConnections(key, ['a'.repeat(64)])
    await waitUntil('it is out', async () => (await proxy.detach(key, ['a'.repeat(64)])).requests === 0)
    t.match(await proxy.figures(), [{ requests: 2, errors: 0, sessions: 1, upgraded: 0, latencyMs: null }])
    second.socket.destroy()
  }
)

testOnHaproxy(t, 'proxy_protocol: v2 tells the address of the client, after a switch as well', async (t) => {
  const { proxy } = await openTestProxy(t)
  const [published, target] = [await freePort(), await freePort()]
  const starts: { server: string; bytes: Buffer }[] = []
  for (const [server, address] of [
    ['a', '127.0.0.1'],
    ['b', '127.0.0.2']
  ] as const) {
    const listener = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (bytes) => {
        starts.push({ server, bytes })
        socket.end('seen')
      })
    })
    await new Promise<void>((resolve) => listener.listen(target, address, resolve))
    t.teardown(() => listener.close())
  }
  const route = (id: string, address: string) =>
    routeOf(published, target, [{ id: id.repeat(64), address }], { mode: 'tcp', hasProxyProtocol: true })
  for (const [server, address] of [
    ['a', '127.0.0.1'],
    ['b', '127.0.0.2']
  ] as const) {
    await proxy.route(route(server, address))
    const client = await openLines(published)
    const clientPort = client.socket.localPort ?? 0
    t.equal(await client.say('hello'), 'seen')
    const { bytes = Buffer.alloc(0) } = starts.find((one) => one.server === server) ?? {}
    // signature, version and command, TCP over IPv4, then addresses and ports: the protocol's section 2.2
    t.equal(bytes.subarray(0, 14).toString('hex'), '0d0a0d0a000d0a515549540a2111')
    t.equal([...bytes.subarray(16, 20)].join('.'), '127.0.0.1')
    t.equal(bytes.readUInt16BE(24), clientPort)
  }
})

testOnHaproxy(t, 'services share a port by hosts; a name of nobody is answered 404', async (t) => {
  const { proxy, published, target, a, b } = await startPair(t)
  await proxy.route(routeOf(published, target, [a], { hosts: ['a.example'] }))
  await t.rejects(proxy.route(routeOf(published, target, [b], {}, 'other')), { code: 'port-taken' })
  await proxy.route(routeOf(published, target, [b], { hosts: ['b.example', 'c.example'] }, 'other'))
  const askFor = (host: string) => ask(published, '/', false, { host })
  t.equal(await askFor('a.example'), '200 a')
  t.equal(await askFor('C.example:8080'), '200 b')
  t.match(await askFor('d.example'), /^404 /)
  await proxy.route(routeOf(published, target, [b], { hosts: ['a.example'] }))
  t.equal(await askFor('a.example'), '200 b')
  t.equal(proxy.routes().length, 2)
})

testOnHaproxy(
  t,
  'without pooling every request has a connection of its own, with it they share one',
  async (t) => {
    const { proxy, published, target, a } = await startPair(t)
    const client = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => client.destroy())
    await proxy.route(routeOf(published, target, [a]))
    for (let index = 0; index < 5; index += 1) await ask(published, '/', client)
    t.equal(a.connections, 5)
    await proxy.route(routeOf(published, target, [a], { isPooled: true }))
    const before = a.connections
    for (let index = 0; index < 5; index += 1) await ask(published, '/', client)
    t.ok(a.connections - before < 5, `${a.connections - before} connections`)
  }
)

const makeCertificate = async (folder: string, name: string): Promise<void> => {
  const paths = ['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await runCommand('openssl', ['req', '-x509', ...key, ...paths, '-days', '2', '-subj', `/CN=${name}`])
}

const subjectAt = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.once('error', reject)
  })

testOnHaproxy(t, 'TLS and HTTP/2; a certificate that changes is taken while connections stay', async (t) => {
  const { proxy, published, target, a, b, lines } = await startPair(t)
  const folder = makeTestFolder(t)
  for (const name of ['old', 'new']) await makeCertificate(folder, name)
  const [crt, key] = [join(folder, 'web.crt'), join(folder, 'web.key')]
  copyFileSync(join(folder, 'old.crt'), crt)
  copyFileSync(join(folder, 'new.key'), key)
  const tls = [{ certificate: crt, key }]
  await t.rejects(proxy.route(routeOf(published, target, [a], { tls })), { message: /HAProxy refuses/ })
  t.same(proxy.routes(), [], 'what can never be is not remembered')
  copyFileSync(join(folder, 'old.key'), key)
  await proxy.route(routeOf(published, target, [a], { tls }))
  const session = connectHttp2(`https://127.0.0.1:${published}`, { rejectUnauthorized: false })
  t.teardown(() => session.destroy())
  const askHttp2 = () =>
    new Promise<string>((resolve, reject) => {
      const stream = session.request({ ':path': '/' })
      stream.on('data', (data) => resolve(String(data)))
      stream.on('error', reject)
      stream.end()
    })
  t.equal(await askHttp2(), 'a')
  t.equal(session.alpnProtocol, 'h2')
  t.equal(await subjectAt(published), 'old')
  // half of a change: a pair that does not fit stays out
  copyFileSync(join(folder, 'new.crt'), crt)
  await proxy.ensure()
  t.equal(await subjectAt(published), 'old')
  t.match(lines.at(-1)?.message, /certificate changed and was not taken/)
  copyFileSync(join(folder, 'new.key'), key)
  await proxy.ensure()
  t.equal(await subjectAt(published), 'new')
  await proxy.route(routeOf(published, target, [b], { tls }))
  t.equal(await askHttp2(), 'b', 'the same connection')
})

testOnHaproxy(t, 'a port of somebody else is not shared: it is named with its process', async (t) => {
  const { proxy, published, target, a, pids } = await startPair(t)
  const stranger = createServer()
  await new Promise<void>((resolve) => stranger.listen(published, '127.0.0.1', resolve))
  t.teardown(() => stranger.close())
  await t.rejects(proxy.route(routeOf(published, target, [a])), {
    code: 'port-taken',
    message: new RegExp(`^port ${published} is held by .* \\(process ${process.pid}\\)$`)
  })
  t.same(pids(), [])
})

testOnHaproxy(t, 'a damaged list of routes changes nothing until it is removed', async (t) => {
  const { proxy, published, target, a, folder } = await startPair(t)
  await proxy.route(routeOf(published, target, [a]))
  await proxy.stop()
  writeFileSync(join(folder, 'routes.json'), '{"version":1,"routes":[{')
  const next = await openTestProxy(t, folder)
  t.match(next.lines, [{ level: 'error', message: /routes.json is damaged; remove it/ }])
  await t.rejects(next.proxy.route(routeOf(published, target, [a])), { message: /is damaged/ })
  t.equal(await ask(published), '200 a')
})

testOnHaproxy(t, 'a HAProxy whose folder was lost is ended once another one serves', async (t) => {
  const { proxy, published, target, a, b, folder, pids } = await startPair(t)
  await proxy.route(routeOf(published, target, [a]))
  await proxy.stop()
  const lost = pids()
  rmSync(folder, { recursive: true })
  const next = await openTestProxy(t, folder)
  await next.proxy.route(routeOf(published, target, [b]))
  await waitUntil('the former one has ended', () => !pids().some((pid) => lost.includes(pid)))
  t.equal(await ask(published), '200 b')
})
