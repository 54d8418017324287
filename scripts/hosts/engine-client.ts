// How the machine's own scripts ask a Docker Engine: plain requests over its unix socket. The product's agent
// has its own adapter; this one is for set-up, for teardown and for checking from outside what the agent did.
// Source: https://docs.docker.com/reference/api/engine/version/v1.41/
import { type IncomingMessage, request } from 'node:http'
import type { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'

/** The oldest Engine API that Longshore supports. */
const apiPrefix = '/v1.41'

export class EngineRefused extends Error {
  override readonly name = 'EngineRefused'
  readonly code = 'engine-refused'
  readonly status: number

  constructor(what: string, status: number, detail: string) {
    super(`${what}: ${status} ${detail}`)
    this.status = status
  }
}

export type EngineClient = {
  readonly socketPath: string
  /** GET, answer as JSON. The caller says the shape; nothing checks it. */
  get<T>(path: string): Promise<T>
  /** GET, answer as text, for example a log. */
  getText(path: string): Promise<string>
  /** POST with a JSON body; undefined when the answer has none. */
  post<T>(path: string, body?: unknown): Promise<T>
  /** POST with a raw body, for example a tar; the answer as text. */
  postRaw(path: string, body: Buffer | Readable, contentType: string): Promise<string>
  delete(path: string): Promise<void>
}

const send = (
  socketPath: string,
  method: string,
  path: string,
  body?: { content: Buffer | Readable; type: string }
): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        method,
        path: apiPrefix + path,
        agent: false,
        headers: body === undefined ? { 'Content-Length': 0 } : { 'Content-Type': body.type }
      },
      resolve
    )
    outgoing.on('error', reject)
    if (body === undefined || Buffer.isBuffer(body.content)) outgoing.end(body?.content)
    else body.content.pipe(outgoing)
  })

/** Makes a client for the engine behind this socket; connects at each call. */
export const connectEngine = (socketPath: string): EngineClient => {
  const ask = async (...args: Parameters<typeof send> extends [string, ...infer R] ? R : never) => {
    const answer = await send(socketPath, ...args)
    const status = answer.statusCode ?? 0
    if (status >= 400) throw new EngineRefused(`${args[0]} ${args[1]}`, status, await text(answer))
    return answer
  }
  const parse = async <T>(answer: IncomingMessage): Promise<T> => {
    const content = await buffer(answer)
    return (content.length === 0 ? undefined : JSON.parse(content.toString('utf8'))) as T
  }
  return {
    socketPath,
    get: async (path) => parse(await ask('GET', path)),
    getText: async (path) => text(await ask('GET', path)),
    post: async (path, body) =>
      parse(
        await ask(
          'POST',
          path,
          body === undefined
            ? undefined
            : { content: Buffer.from(JSON.stringify(body)), type: 'application/json' }
        )
      ),
    postRaw: async (path, content, type) => text(await ask('POST', path, { content, type })),
    delete: async (path) => {
      ;(await ask('DELETE', path)).resume()
    }
  }
}

export const isEngineReady = async (socketPath: string): Promise<boolean> => {
  try {
    const answer = await send(socketPath, 'GET', '/_ping')
    answer.resume()
    return answer.statusCode === 200
  } catch {
    return false
  }
}
