// One HTTP request to the controller over node:http or node:https. Says exactly how far it came: never
// connected, or lost after the request had left. Leaves routes and bodies to client.ts.
import * as http from 'node:http'
import * as https from 'node:https'
import * as tls from 'node:tls'
import { CliError } from './cli-errors.ts'
import type { Settings } from './read-settings.ts'

/** Longest silence before an answer begins, and between two pieces of one; the controller comments every 15 s. */
const silenceMs = 45_000
const maxAnswerBytes = 32 * 1024 * 1024

export type Request = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With query, from `/v1/`. */
  path: string
  body?: unknown
  accept: string
  signal?: AbortSignal
}

/** Resolves when the head of the answer is there. @throws CliError unreachable, connection-lost */
export async function sendRequest(settings: Settings, request: Request): Promise<http.IncomingMessage> {
  const body = request.body === undefined ? undefined : JSON.stringify(request.body)
  const headers: http.OutgoingHttpHeaders = {
    accept: request.accept,
    authorization: `Bearer ${settings.token}`,
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  }
  const options: https.RequestOptions = {
    method: request.method,
    headers,
    timeout: silenceMs,
    // a new connection each time: a kept one may have died with the controller, and that is no answer
    agent: false,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(settings.url.protocol === 'https:' ? { ca: trusted(settings) } : {})
  }
  const url = new URL(settings.url.pathname.replace(/\/+$/, '') + request.path, settings.url)
  const open = url.protocol === 'https:' ? https.request : http.request
  return await new Promise((resolve, reject) => {
    let isConnected = false
    const sent = open(url, options, resolve)
    sent.on('socket', (socket) => {
      socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
        isConnected = true
      })
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${String(silenceMs / 1000)} s`)))
    sent.on('error', (cause) => reject(describeFailure(cause, settings, isConnected)))
    sent.end(body)
  })
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
    : new CliError(
        'unreachable',
        `cannot reach the controller at ${at}: ${detail}`,
        ['no request was sent; is it running, and is LONGSHORE_URL right?'],
        { cause }
      )
}

/** With several addresses tried, Node's own message is empty and the reasons are inside. */
const detailOf = (cause: Error): string =>
  cause instanceof AggregateError
    ? cause.errors.map((inner) => (inner instanceof Error ? inner.message : String(inner))).join('; ')
    : cause.message

const trusted = (settings: Settings): string[] =>
  settings.ca === null
    ? [...tls.getCACertificates('default'), ...tls.getCACertificates('system')]
    : [settings.ca]
