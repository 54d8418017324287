// HAProxy for tests: the adapter in a folder of its own on free loopback ports, plain Node servers in place of
// containers, and every HAProxy ended at the end of the test, by process id.
import { createHash } from 'node:crypto'
import {
  type Agent,
  createServer,
  get,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse
} from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import type { EnvironmentName, RoutingSpec, ServiceName } from '@longshore/protocol'
import type { Test } from 'tap'
import { createClock } from '../../packages/agent/src/adapters/clock.ts'
import { processLife } from '../../packages/agent/src/adapters/haproxy/life.ts'
import { findByConfig } from '../../packages/agent/src/adapters/haproxy/processes.ts'
import { createProxy, type ProxyParts } from '../../packages/agent/src/adapters/haproxy/proxy.ts'
import type { RoutedContainer, ServiceRoute } from '../../packages/agent/src/core/proxy/routes.ts'
import { makeTestFolder } from './real-parts.ts'
import { sampleRouting } from './run-samples.ts'
import { waitUntil } from './wait.ts'

export type LogLine = { level: string; message: string }

/** Opens the adapter on a folder; a second one on the same folder is what an agent's restart is. */
export const openTestProxy = async (t: Test, folder = makeTestFolder(t), parts: Partial<ProxyParts> = {}) => {
  const lines: LogLine[] = []
  const log = (level: string) => (_fields: object, message: string) => void lines.push({ level, message })
  const config = join(folder, 'haproxy.cfg')
  t.teardown(() => endHaproxy(config))
  const proxy = await createProxy({
    folder,
    life: processLife,
    clock: createClock(),
    log: { info: log('info'), warn: log('warn'), error: log('error') },
    ...parts
  })
  t.teardown(() => proxy.stop())
  return { proxy, folder, lines, config, pids: () => findByConfig(config) }
}

/** Resolves when none runs on the configuration any more. */
export const endHaproxy = (config: string): Promise<unknown> =>
  waitUntil('HAProxy has ended', async () => {
    const pids = findByConfig(config)
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // gone between the two looks
      }
    }
    return pids.length === 0
  })

export const freePort = async (): Promise<number> => {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export const routeOf = (
  published: number,
  target: number,
  containers: RoutedContainer[],
  routing: Partial<RoutingSpec> = {},
  service = 'web'
): ServiceRoute => ({
  environment: 'staging' as EnvironmentName,
  service: service as ServiceName,
  ports: [{ hostIp: '127.0.0.1', published, target }],
  routing: { ...sampleRouting, ...routing },
  containers
})

export type Upstream = RoutedContainer & { server: Server; requests: number; connections: number }

/** A stand-in for a container: answers with its name, `/hold` when told to, and echoes over WebSocket. */
export const startUpstream = async (
  t: Test,
  name: string,
  address: string,
  port: number
): Promise<Upstream> => {
  const server = createServer((request, response) => answer(upstream, name, request, response))
  const upstream: Upstream = { id: idOf(name), address, server, requests: 0, connections: 0 }
  server.on('connection', () => {
    upstream.connections += 1
  })
  server.on('upgrade', (request, socket) => {
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accept = createHash('sha1').update(key).digest('base64')
    socket.on('error', () => {})
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
    )
    socket.on('data', (data) => socket.write(`${name}:${data}`))
    socket.on('end', () => socket.end())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return upstream
}

export const idOf = (name: string): string => createHash('sha256').update(name).digest('hex')

/** `/hold` is answered by this: what the test keeps open it ends itself. */
export const held: { end(): void }[] = []

const answer = (
  upstream: Upstream,
  name: string,
  request: IncomingMessage,
  response: ServerResponse
): void => {
  upstream.requests += 1
  request.resume()
  if (request.url === '/hold') {
    response.writeHead(200)
    response.write(name)
    held.push({ end: () => void response.end() })
  } else if (request.url === '/fail') {
    response.writeHead(500).end()
  } else {
    response.end(name)
  }
}

/** On a new connection, unless an agent keeps one. */
export const ask = (port: number, path = '/', agent: Agent | false = false, headers = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    const sent = get({ host: '127.0.0.1', port, path, headers, agent }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(`${response.statusCode} ${text}`))
      response.on('error', reject)
    })
    sent.on('error', reject)
  })

/** Four clients that ask without a pause, each time on a new connection. */
export const keepAsking = (port: number) => {
  const failures: string[] = []
  let answers = 0
  let isStopped = false
  const client = async (): Promise<void> => {
    while (!isStopped) {
      const text = await ask(port).catch((error: unknown) => String(error))
      if (text.startsWith('200 ')) answers += 1
      else failures.push(text)
    }
  }
  const clients = Promise.all([client(), client(), client(), client()])
  return {
    stop: async () => {
      isStopped = true
      await clients
      return { answers, failures }
    }
  }
}

/** Not frames, but the bytes after the upgrade: what goes through HAProxy is the same. */
export const openWebSocket = (port: number) =>
  new Promise<{ echo(text: string): Promise<string>; close(): void; closed: Promise<void> }>(
    (resolve, reject) => {
      const headers = {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
      }
      const sent = request({ host: '127.0.0.1', port, headers })
      sent.on('error', reject)
      sent.on('response', (response) => reject(new Error(`answered ${response.statusCode}`)))
      sent.on('upgrade', (_response, socket) => {
        socket.on('error', () => {})
        resolve({
          echo: (text) =>
            new Promise((answered, failed) => {
              socket.once('data', (data) => answered(data.toString('utf8')))
              socket.once('close', () => failed(new Error('the WebSocket is closed')))
              socket.write(text)
            }),
          close: () => void socket.destroy(),
          closed: new Promise((done) => socket.once('close', () => done()))
        })
      })
      sent.end()
    }
  )
