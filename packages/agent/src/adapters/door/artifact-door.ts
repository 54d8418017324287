// The agent's own registry endpoint, for its engine alone: on loopback, open only while a run pulls, for reading only,
// every answer streamed from the controller. Docker takes a registry on loopback without TLS, so that nothing of its
// configuration is changed. Modules from process.getBuiltinModule, see http-client.ts.
import type { ClientRequest, IncomingMessage, Server, ServerResponse } from 'node:http'
import type { SecureContext } from 'node:tls'
import { artifactRepository } from '@longshore/protocol'
import { controllerPath, doorKey, doorRepository, isDoorName } from '../../core/door-path.ts'
import { EngineError } from '../../engine-error.ts'
import type { Log } from '../../link.ts'
import type { ArtifactDoor } from '../../ports.ts'
import { relayBlob } from './relay-blob.ts'

/** Until the controller's answer begins: it reads from its own disk, or asks a registry first. */
const answerLimitMs = 25_000
/** Without a byte either way: shorter than what the engine's pull may stand still. */
const idleLimitMs = 25_000
/** A controller that starts anew is waited for: an engine that began a pull asks for a blob a few times only. */
const awayLimitMs = 20_000
const awayRetryMs = 250
/** Four runs whose pulls take three layers at a time each, with what the engine keeps open between requests. */
const maxConnections = 64

const asked = ['accept', 'range', 'if-none-match', 'if-range', 'user-agent'] as const
const answered = [
  'content-type',
  'content-length',
  'content-range',
  'accept-ranges',
  'docker-content-digest',
  'docker-distribution-api-version',
  'etag',
  'retry-after'
] as const

export type DoorPorts = {
  /** Of the controller; may have a path of its own. */
  base: URL
  /** null for http */
  tls: SecureContext | null
  /** Says to the controller which agent asks; made anew for each request. */
  token: () => Promise<string>
  randomBytes: (count: number) => Uint8Array
  log: Log
}

type OpenServer = { server: Server; port: number }

export const createArtifactDoor = (ports: DoorPorts): ArtifactDoor => {
  const names = new Map<string, string>()
  let listening: Promise<OpenServer> | undefined

  return {
    open: async (repository) => {
      const name = artifactRepository(repository)
      const key = doorKey(ports.randomBytes(16))
      names.set(key, name)
      listening ??= listen((request, response) => void serve(ports, names, request, response))
      const own = listening
      const close = async (): Promise<void> => {
        names.delete(key)
        if (names.size > 0 || listening !== own) return
        listening = undefined
        const { server } = await own
        server.close()
        server.closeAllConnections()
      }
      try {
        return { repository: doorRepository((await own).port, key, name), close }
      } catch (cause) {
        names.delete(key)
        if (listening === own) listening = undefined
        const why = cause instanceof Error ? cause.message : String(cause)
        throw new EngineError('registry-unavailable', `no port on loopback can be opened: ${why}`, { cause })
      }
    },
    isOwnName: isDoorName
  }
}

const listen = (
  serveOne: (request: IncomingMessage, response: ServerResponse) => void
): Promise<OpenServer> =>
  new Promise((resolve, reject) => {
    const server = process
      .getBuiltinModule('node:http')
      .createServer({ requestTimeout: idleLimitMs, headersTimeout: idleLimitMs }, serveOne)
    server.maxConnections = maxConnections
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (typeof address === 'object' && address !== null) resolve({ server, port: address.port })
    })
  })

const serve = async (
  ports: DoorPorts,
  names: ReadonlyMap<string, string>,
  request: IncomingMessage,
  response: ServerResponse
): Promise<void> => {
  request.resume()
  const path = controllerPath(request.method ?? '', (request.url ?? '').replace(/\?.*$/, ''), names)
  if (path === undefined)
    return refuse(response, 403, 'DENIED', 'only what a run of this host pulls is served')
  try {
    const headers = { ...pick(request.headers, asked), authorization: `Bearer ${await ports.token()}` }
    const wanted: Wanted = { method: request.method ?? 'GET', path: pathBelow(ports.base, path), headers }
    await whileAway(wanted, response, () => answerFrom(ports, wanted, response))
  } catch (error) {
    ports.log.debug({ err: error, path }, 'an image is not served from the controller')
    const why = error instanceof Error ? error.message : String(error)
    // what was begun cannot be taken back: the engine sees it break off, and asks for the rest
    if (response.headersSent) response.destroy()
    else refuse(response, 503, 'UNAVAILABLE', `the controller does not answer: ${why}`)
  }
}

const answerFrom = async (ports: DoorPorts, wanted: Wanted, response: ServerResponse): Promise<void> => {
  if (await serveBlob(ports, wanted, response)) return
  const answer = await askController(ports, wanted, response)
  response.writeHead(answer.statusCode ?? 502, pick(answer.headers, answered))
  await process.getBuiltinModule('node:stream/promises').pipeline(answer, response)
}

/** A manifest is asked for first: there another source is better than waiting. */
const whileAway = async (
  { path }: Wanted,
  response: ServerResponse,
  ask: () => Promise<void>
): Promise<void> => {
  const endMs = performance.now() + awayLimitMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const isAway = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
      const isOver = response.headersSent || response.destroyed || performance.now() >= endMs
      if (!isAway || isOver || !isBlob(path)) throw error
      await new Promise((resolve) => setTimeout(resolve, awayRetryMs))
    }
  }
}

const isBlob = (path: string): boolean => path.includes('/blobs/')

/** Of the controller, with the path of its address. */
type Wanted = { method: string; path: string; headers: Record<string, string> }

/** @returns false when it is no blob, or not answered as one: then nothing was written */
const serveBlob = async (
  { base, tls }: DoorPorts,
  { method, path, headers }: Wanted,
  response: ServerResponse
): Promise<boolean> => {
  if (method !== 'GET' || !isBlob(path)) return false
  const limits = { answerMs: answerLimitMs, idleMs: idleLimitMs }
  return relayBlob({ base, tls, path, headers, limits }, response, (head) =>
    response.writeHead(head.status, pick(head.headers, answered))
  )
}

const pathBelow = (base: URL, path: string): string => base.pathname.replace(/\/+$/, '') + path

const askController = (
  { base, tls }: DoorPorts,
  wanted: Wanted,
  response: ServerResponse
): Promise<IncomingMessage> => {
  const options = {
    ...wanted,
    protocol: base.protocol,
    host: base.hostname.replace(/^\[|\]$/g, ''),
    port: base.port,
    agent: false as const,
    timeout: idleLimitMs
  }
  return new Promise((resolve, reject) => {
    const sent: ClientRequest =
      base.protocol === 'https:'
        ? process.getBuiltinModule('node:https').request({ ...options, ...(tls && { secureContext: tls }) })
        : process.getBuiltinModule('node:http').request(options)
    const late = setTimeout(() => sent.destroy(new Error(`no answer in ${answerLimitMs} ms`)), answerLimitMs)
    // an engine that gave up needs no more of it
    response.once('close', () => sent.destroy())
    sent.on('timeout', () => sent.destroy(new Error(`no byte in ${idleLimitMs} ms`)))
    sent.on('error', (error) => {
      clearTimeout(late)
      reject(error)
    })
    sent.on('response', (answer) => {
      clearTimeout(late)
      resolve(answer)
    })
    sent.end()
  })
}

/** None of them comes more than once. */
const pick = (headers: IncomingMessage['headers'], names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value] as const] : []
    })
  )

/** As the distribution specification has errors, so that the engine tells them on. */
const refuse = (response: ServerResponse, status: number, code: string, message: string): void => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ errors: [{ code, message }] }))
}
