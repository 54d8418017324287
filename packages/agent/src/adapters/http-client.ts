// Small HTTP exchanges: enrolment and keys at the controller, facts at the engine. Taken from
// process.getBuiltinModule because importing node:http as a module loads Node's fetch (15 MB) with it.
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { SecureContext } from 'node:tls'
import type { Ask, HttpAnswer } from '../link.ts'

/** An exchange has this long from first byte to last; what is asked here is answered in milliseconds. */
const timeLimitMs = 15_000
/** An engine that hangs must not keep the agent from its controller: its facts are asked for again later. */
const engineLimitMs = 1_000
/** The largest answer is an enrolment with its key chain. */
const maxAnswerBytes = 1024 * 1024

/** @param path appended to the URL's own path, so that a controller may live below a prefix */
export const urlBelow = (base: URL, path: string): URL =>
  new URL(base.pathname.replace(/\/+$/, '') + path, base)

/** @param tls null for http */
export const createControllerClient =
  (base: URL, tls: SecureContext | null): Ask =>
  (method, path, body) => {
    const url = urlBelow(base, path)
    return exchange(
      { protocol: url.protocol, host: plainHost(url), port: url.port, path: url.pathname },
      method,
      tls,
      body
    )
  }

/** GET on the Engine API. @param dockerHost unix:///path or tcp://HOST:PORT */
export const createEngineClient = (dockerHost: string): ((path: string) => Promise<HttpAnswer>) => {
  const url = new URL(dockerHost)
  const target =
    url.protocol === 'unix:'
      ? { protocol: 'http:', socketPath: url.pathname }
      : { protocol: 'http:', host: plainHost(url), port: url.port }
  return (path) => exchange({ ...target, path }, 'GET', null, undefined, engineLimitMs)
}

/** The brackets of an IPv6 address belong to the URL, not to the address. */
const plainHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')

const exchange = (
  target: RequestOptions,
  method: string,
  secureContext: SecureContext | null,
  body?: unknown,
  limitMs: number = timeLimitMs
): Promise<HttpAnswer> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      accept: 'application/json, application/problem+json',
      ...(text !== undefined && {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text)
      })
    }
    const options = { ...target, method, headers, agent: false, signal: AbortSignal.timeout(limitMs) }
    const request: ClientRequest =
      target.protocol === 'https:'
        ? process
            .getBuiltinModule('node:https')
            .request({ ...options, ...(secureContext && { secureContext }) })
        : process.getBuiltinModule('node:http').request(options)
    request.on('error', reject)
    request.on('response', (answer) => {
      readLimited(answer).then((read) => resolve({ status: answer.statusCode ?? 0, body: read }), reject)
    })
    request.end(text)
  })

/** The whole body as text. Rejects, and cuts the connection, when it is larger than any right answer. */
export const readLimited = (answer: IncomingMessage): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxAnswerBytes) answer.destroy(new Error('the answer is too large'))
      else chunks.push(chunk)
    })
    answer.on('error', reject)
    answer.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
  })
