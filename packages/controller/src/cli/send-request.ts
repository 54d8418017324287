// One HTTP request to the controller over node:http or node:https. Says exactly how far it came: never
// connected, or lost after the request had left. Leaves routes and bodies to client.ts.
import type * as http from 'node:http'
import type * as https from 'node:https'
import { CliError } from './cli-errors.ts'
import type { Settings } from './read-settings.ts'

/** Longest silence before an answer begins, and between two pieces of one; the controller comments every 15 s. */
const silenceMs = 45_000
const maxAnswerBytes = 32 * 1024 * 1024

export type Request = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With query, from `/v1/`. */
  path: string
  body?: unknown
  accept: string
  signal?: AbortSignal
  /** Called when all of the request has left. */
  sent: () => void
}

/** Resolves when the head of the answer is there. @throws CliError unreachable, connection-lost */
export async function sendRequest(settings: Settings, request: Request): Promise<http.IncomingMessage> {
  const body = request.body === undefined ? undefined : JSON.stringify(request.body)
  const { method, path, signal } = request
  const headers: http.OutgoingHttpHeaders = {
    accept: request.accept,
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  }
  const { outgoing, answer } = openRequest(await settings.renewed(), {
    method,
    path,
    headers,
    ...(signal && { signal })
  })
  outgoing.on('finish', request.sent)
  outgoing.end(body)
  const head = await answer
  settings.clock?.heard(head.headers.date)
  return head
}

/** `answer` rejects as sendRequest does, and has to be waited for. */
export type Opened = { outgoing: http.ClientRequest; answer: Promise<http.IncomingMessage> }

/** A request whose body the caller sends. */
export function openRequest(
  settings: Settings,
  request: { method: string; path: string; headers: http.OutgoingHttpHeaders; signal?: AbortSignal }
): Opened {
  const options: https.RequestOptions = {
    method: request.method,
    headers: { ...request.headers, authorization: `Bearer ${settings.token}` },
    timeout: silenceMs,
    // a new connection each time: a kept one may have died with the controller, and that is no answer
    agent: false,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(settings.url.protocol === 'https:' ? { ca: trusted(settings) } : {})
  }
  const url = new URL(settings.url.pathname.replace(/\/+$/, '') + request.path, settings.url)
  // not imported: an ES import of these loads all of fetch as well, 20 ms of every command
  const open = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http').request
  const answer = Promise.withResolvers<http.IncomingMessage>()
  const outgoing = open(url, options, answer.resolve)
  let isConnected = false
  outgoing.on('socket', (socket) => {
    socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
      isConnected = true
    })
  })
  outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${String(silenceMs / 1000)} s`)))
  outgoing.on('error', (cause) => answer.reject(describeFailure(cause, settings, isConnected)))
  return { outgoing, answer: answer.promise }
}

/** The whole body as text. @throws CliError connection-lost, unexpected-answer */
export async function readBody(answer: http.IncomingMessage, settings: Settings): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > maxAnswerBytes) throw new CliError('unexpected-answer', 'the answer is too large')
      chunks.push(chunk)
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause
    throw describeFailure(cause, settings, true)
  }
  return Buffer.concat(chunks).toString('utf8')
}

export function describeFailure(cause: unknown, settings: Settings, isConnected: boolean): Error {
  if (!(cause instanceof Error)) return new CliError('connection-lost', String(cause))
  if (cause.name === 'AbortError') return cause
  const detail = detailOf(cause)
  const at = settings.url.origin
  return isConnected
    ? new CliError('connection-lost', `the connection to the controller at ${at} was lost: ${detail}`, [], {
        cause
      })
    : new CliError('unreachable', `cannot reach the controller at ${at}: ${detail}`, [hintOf(cause)], {
        cause
      })
}

/** Certificates that no known authority vouches for; https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const untrusted: readonly unknown[] = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT'
]

function hintOf(cause: Error): string {
  const code = 'code' in cause ? cause.code : undefined
  return untrusted.includes(code)
    ? "no request was sent; if the authority is your own, name its certificate's file (PEM) in LONGSHORE_CA_FILE"
    : 'no request was sent; is it running, and is LONGSHORE_URL right?'
}

/** With several addresses tried, Node's own message is empty and the reasons are inside. */
const detailOf = (cause: Error): string =>
  cause instanceof AggregateError
    ? cause.errors.map((inner) => (inner instanceof Error ? inner.message : String(inner))).join('; ')
    : cause.message

function trusted(settings: Settings): string[] {
  if (settings.ca !== null) return [settings.ca]
  const { getCACertificates } = process.getBuiltinModule('node:tls')
  return [...getCACertificates('default'), ...getCACertificates('system')]
}
