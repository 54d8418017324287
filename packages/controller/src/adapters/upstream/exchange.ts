// One request over HTTP or HTTPS and its answer; redirects of what only reads are followed. A login goes to the host that
// it was meant for and to no other one: blobs lie in object stores elsewhere, whose addresses are signed themselves.
import { type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import { pipeline, type Readable } from 'node:stream'
import { type ConnectionOptions, createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { UpstreamError } from '../../core/images/upstream-error.ts'

/** A source without progress for so long is given up: the next one may be better. */
const silenceLimitMs = 30_000
const maxRedirects = 5
const redirects: readonly (number | undefined)[] = [301, 302, 303, 307, 308]

type Headers = { accept?: string; authorization?: string; range?: string }
export type Asked = {
  /** GET unless it says something else. */
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  headers: Headers & { 'content-type'?: string; 'content-length'?: string }
  body?: Readable | Buffer
  /** Instead of what is usual. */
  silenceMs?: number
}
/** Rejects with UpstreamError `registry-unreachable`. */
export type Exchange = (url: URL, asked: Asked) => Promise<IncomingMessage>

/** What did not answer in time, as opposed to what refused. */
export class SilenceError extends Error {
  override readonly name = 'SilenceError'
}

export const createExchange = (options: {
  ca: string | null
  silenceMs?: number
  signal?: AbortSignal
}): Exchange => {
  let context: SecureContext | undefined
  /** Costs some megabytes with the system's list: made once, and only for https. */
  const trusted = (): SecureContext => {
    context ??= createSecureContext({
      ca: options.ca ?? [...getCACertificates('default'), ...getCACertificates('system')]
    })
    return context
  }
  const once = (url: URL, { method = 'GET', headers, body, silenceMs }: Asked): Promise<IncomingMessage> => {
    const asked: RequestOptions & Pick<ConnectionOptions, 'secureContext'> = {
      agent: false,
      method,
      timeout: silenceMs ?? options.silenceMs ?? silenceLimitMs,
      ...(options.signal && { signal: options.signal }),
      headers: { ...headers, 'user-agent': 'longshore' }
    }
    if (url.protocol === 'https:') asked.secureContext = trusted()
    return new Promise((resolve, reject) => {
      const open = url.protocol === 'https:' ? requestTls : requestPlain
      const outgoing = open(url, asked)
      outgoing.on('response', resolve)
      endSilence(outgoing, asked.timeout ?? silenceLimitMs)
      outgoing.on('error', (cause) =>
        reject(new UpstreamError('registry-unreachable', `${url.host}: ${cause.message}`, { cause }))
      )
      // its failures are those of the request
      if (body === undefined || Buffer.isBuffer(body)) outgoing.end(body)
      else pipeline(body, outgoing, () => {})
    })
  }
  return async (start, asked) => {
    const { method = 'GET' } = asked
    let url = start
    let { headers } = asked
    for (let hops = 0; hops <= maxRedirects; hops += 1) {
      const answer = await once(url, { ...asked, headers })
      const { location } = answer.headers
      const isRedirect = redirects.includes(answer.statusCode) && location !== undefined
      if (!isRedirect || !(method === 'GET' || method === 'HEAD')) return answer
      answer.destroy()
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined
      if (next === undefined || !/^https?:$/.test(next.protocol))
        throw new UpstreamError('registry-unreachable', `${url.host} leads to no address`)
      if (url.protocol === 'https:' && next.protocol !== 'https:')
        throw new UpstreamError('registry-unreachable', `${url.host} leads to plain HTTP`)
      if (next.origin !== url.origin) {
        const { authorization: _, ...others } = headers
        headers = others
      }
      url = next
    }
    throw new UpstreamError('registry-unreachable', `${start.host} leads in a circle`)
  }
}

/** Whoever reads slowly is not the registry's fault: what has come waits for its reader. */
const endSilence = (outgoing: ClientRequest, limitMs: number): void => {
  let answer: IncomingMessage | undefined
  outgoing.on('response', (received) => {
    answer = received
  })
  outgoing.on('timeout', () => {
    const isUnread = answer !== undefined && answer.readableLength >= answer.readableHighWaterMark
    if (isUnread) outgoing.setTimeout(limitMs)
    else outgoing.destroy(new SilenceError(`nothing came for ${limitMs / 1000} s`))
  })
}
