// One HTTP request to an issuer: over TLS with the authorities that are trusted, an answer of bounded size, and no
// redirects, for where an issuer is says its own document. What is asked and what an answer means is left to others.
import { type IncomingMessage, request as requestPlain } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import { type ConnectionOptions, createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { IssuerUnavailable } from '../../ports.ts'

/** GitLab's keys have 10 KiB. */
const maxDocumentBytes = 256 * 1024

export type IssuerAnswer = { status: number; headers: NodeJS.Dict<string | string[]>; text: string }
export type IssuerRequest = { method: string; headers: Record<string, string>; body?: string | undefined }
/** Rejects with IssuerUnavailable, or as node:http does. */
export type AskIssuer = (url: URL, asked: IssuerRequest, signal: AbortSignal) => Promise<IssuerAnswer>

/** @param ca PEM; null: Node's list and the system's */
export const createAskIssuer = (ca: string | null): AskIssuer => {
  let context: SecureContext | undefined
  /** Costs some megabytes with the system's list: made once, and only for https. */
  const trusted = (): SecureContext => {
    context ??= createSecureContext({
      ca: ca ?? [...getCACertificates('default'), ...getCACertificates('system')]
    })
    return context
  }
  return async (url, { method, headers, body }, signal) => {
    const options: RequestOptions & Pick<ConnectionOptions, 'secureContext'> = {
      agent: false,
      method,
      signal,
      headers: { ...headers, 'user-agent': 'longshore' }
    }
    if (url.protocol === 'https:') options.secureContext = trusted()
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const open = url.protocol === 'https:' ? requestTls : requestPlain
      open(url, options, resolve).on('error', reject).end(body)
    })
    return { status: answer.statusCode ?? 0, headers: answer.headers, text: await readText(url, answer) }
  }
}

const readText = async (url: URL, answer: IncomingMessage): Promise<string> => {
  try {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > maxDocumentBytes) throw new IssuerUnavailable(`${url.host} answered with too much`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString('utf8')
  } finally {
    answer.destroy()
  }
}

/** A JSON document over GET. */
export const getDocument = async (ask: AskIssuer, url: URL, signal: AbortSignal): Promise<unknown> => {
  const { status, text } = await ask(url, { method: 'GET', headers: { accept: 'application/json' } }, signal)
  if (status !== 200) throw new IssuerUnavailable(`${url.host} answered with HTTP status ${status}`)
  try {
    return JSON.parse(text)
  } catch {
    throw new IssuerUnavailable(`${url.host} answered with no JSON`)
  }
}

/** In words for people. */
export const unavailable = (error: unknown, limitMs: number): IssuerUnavailable => {
  if (error instanceof IssuerUnavailable) return error
  return new IssuerUnavailable(describeFailure(error, limitMs), { cause: error })
}

const describeFailure = (error: unknown, limitMs: number): string => {
  if (!(error instanceof Error)) return 'no answer'
  const isLate = error.name === 'AbortError' || error.name === 'TimeoutError'
  return isLate ? `no answer within ${limitMs / 1000} s` : `no answer: ${reasonsOf(error)}`
}

/** With several addresses tried, Node's own message is empty and the reasons are inside. */
const reasonsOf = (error: Error): string =>
  error instanceof AggregateError ? error.errors.map(String).join('; ') : error.message
