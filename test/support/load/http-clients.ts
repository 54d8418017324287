// Clients that speak HTTP/1.1: each asks for something whose answer it knows, and says whether that came whole.
import { createHash, randomBytes } from 'node:crypto'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Kind } from './report.ts'
import { RequestFailed } from './tally.ts'

/** Longer than anything here takes on a machine that does other work too. */
export const limitMs = 30_000

/** Asks once; resolves with the version that answered, rejects with RequestFailed. */
export type Attempt = (id: string) => Promise<string>
export type Client = { attempt: Attempt; close(): void }

const slowMs = [1000, 1500, 2000] as const
const uploadMs = 1200
const uploadPieces = 6
const streamChunks = 15
const chunkEveryMs = 100

export const bodyBytes = 20_000
const body = randomBytes(bodyBytes)
const bodyAnswer = `${bodyBytes} ${createHash('sha256').update(body).digest('hex')}`
export const postBody = { content: body, answer: bodyAnswer }

/** What a connection's error means. */
export const failureOf = (error: unknown, hasAnswer: boolean): RequestFailed => {
  if (error instanceof RequestFailed) return error
  const { code = '', message = String(error) } = error as NodeJS.ErrnoException
  const detail = `${code} ${message}`.trim()
  if (code === 'ECONNREFUSED') return new RequestFailed('refused', detail)
  if (/^E(HOSTUNREACH|NETUNREACH|TIMEDOUT|NETDOWN|HOSTDOWN)$/.test(code))
    return new RequestFailed('unreachable', detail)
  return new RequestFailed(hasAnswer ? 'truncated' : 'reset', detail)
}

/** `VERSION REST`: checks the rest; returns the version. */
export const versionIn = (text: string, expected: string): string => {
  const [version = '', ...rest] = text.trimEnd().split(' ')
  if (rest.join(' ') !== expected)
    throw new RequestFailed('wrong', `${JSON.stringify(text.slice(0, 200))} instead of ${expected}`)
  return version
}

type Asked = RequestOptions & { path: string; send?: (outgoing: NodeJS.WritableStream) => Promise<void> }

const ask = (url: string, { send, ...options }: Asked): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let answer: IncomingMessage | undefined
  const fail = (error: unknown): void => reject(failureOf(error, answer !== undefined))
  const outgoing = request(url, options)
  const timer = setTimeout(() => {
    reject(new RequestFailed('timeout', `no answer within ${limitMs} ms`))
    outgoing.destroy()
  }, limitMs)
  outgoing.on('error', fail)
  outgoing.on('response', (incoming) => {
    answer = incoming
    let text = ''
    incoming.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    incoming.on('error', fail)
    incoming.on('close', () => {
      const status = incoming.statusCode ?? 0
      if (!incoming.complete) fail(new Error('closed before the end of the answer'))
      else if (status < 200 || status > 299)
        reject(new RequestFailed('status', `${status} ${text.slice(0, 100).trimEnd()}`))
      else resolve(text)
    })
  })
  if (send === undefined) outgoing.end()
  else send(outgoing).then(() => outgoing.end(), fail)
  return promise.finally(() => clearTimeout(timer))
}

const sendSlowly = async (outgoing: NodeJS.WritableStream): Promise<void> => {
  const pieceBytes = Math.ceil(bodyBytes / uploadPieces)
  for (let start = 0; start < bodyBytes; start += pieceBytes) {
    outgoing.write(body.subarray(start, start + pieceBytes))
    await pause(uploadMs / uploadPieces)
  }
}

const checkStream = (text: string, id: string): string => {
  const lines = text.trimEnd().split('\n')
  if (lines.pop() !== 'end') throw new RequestFailed('truncated', 'the stream has no end')
  const versions = lines.map((line, number) => versionIn(line, `${id} ${number}`))
  if (versions.length !== streamChunks || new Set(versions).size !== 1)
    throw new RequestFailed('wrong', `${versions.length} chunks of ${[...new Set(versions)].join(', ')}`)
  return versions[0] ?? ''
}

/** @returns undefined for a kind that is not HTTP/1.1 */
export const openHttpClient = (url: string, kind: Kind): Client | undefined => {
  const isKept = kind !== 'get-fresh'
  const agent = new Agent({ keepAlive: isKept, maxSockets: 1 })
  const post = { method: 'POST', headers: { 'content-length': bodyBytes }, agent }
  const attempts: Partial<Record<Kind, Attempt>> = {
    get: async (id) => versionIn(await ask(url, { path: `/?id=${id}`, agent }), id),
    'get-fresh': async (id) => versionIn(await ask(url, { path: `/?id=${id}`, agent }), id),
    post: async (id) => {
      const send = async (outgoing: NodeJS.WritableStream) => {
        outgoing.write(body)
      }
      return versionIn(await ask(url, { ...post, path: `/echo?id=${id}`, send }), `${id} ${bodyAnswer}`)
    },
    slow: async (id) => {
      const ms = slowMs[id.charCodeAt(id.length - 1) % slowMs.length]
      return versionIn(await ask(url, { path: `/slow?id=${id}&ms=${ms}`, agent }), id)
    },
    upload: async (id) => {
      // Without a length: sent in chunks.
      const asked = { method: 'POST', agent, path: `/echo?id=${id}`, send: sendSlowly }
      return versionIn(await ask(url, asked), `${id} ${bodyAnswer}`)
    },
    stream: async (id) => {
      const path = `/stream?id=${id}&chunks=${streamChunks}&ms=${chunkEveryMs}`
      return checkStream(await ask(url, { path, agent }), id)
    }
  }
  const attempt = attempts[kind]
  return attempt && { attempt, close: () => agent.destroy() }
}
