// One GET over HTTP or HTTPS, redirects followed. A login goes to the host that it was meant for and to no other one:
// blobs lie in object stores elsewhere, whose addresses are signed themselves.
import { type IncomingMessage, request as requestPlain } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import { type ConnectionOptions, createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { UpstreamError } from '../../core/images/upstream-error.ts'

/** A source without progress for so long is given up: the next one may be better. */
const silenceLimitMs = 30_000
const maxRedirects = 5
const redirects: readonly (number | undefined)[] = [301, 302, 303, 307, 308]

type Headers = { accept?: string; authorization?: string }
export type Get = (url: URL, headers: Headers) => Promise<IncomingMessage>

export const createGet = (options: { ca: string | null; silenceMs?: number; signal?: AbortSignal }): Get => {
  let context: SecureContext | undefined
  /** Costs some megabytes with the system's list: made once, and only for https. */
  const trusted = (): SecureContext => {
    context ??= createSecureContext({
      ca: options.ca ?? [...getCACertificates('default'), ...getCACertificates('system')]
    })
    return context
  }
  const once = (url: URL, headers: Headers): Promise<IncomingMessage> => {
    const timeout = options.silenceMs ?? silenceLimitMs
    const asked: RequestOptions & Pick<ConnectionOptions, 'secureContext'> = {
      agent: false,
      timeout,
      ...(options.signal && { signal: options.signal }),
      headers: { ...headers, 'user-agent': 'longshore' }
    }
    if (url.protocol === 'https:') asked.secureContext = trusted()
    return new Promise((resolve, reject) => {
      const open = url.protocol === 'https:' ? requestTls : requestPlain
      const outgoing = open(url, asked, resolve)
      outgoing.on('timeout', () => outgoing.destroy(new Error(`nothing came for ${timeout / 1000} s`)))
      outgoing.on('error', (cause) =>
        reject(new UpstreamError('registry-unreachable', `${url.host}: ${cause.message}`, { cause }))
      )
      outgoing.end()
    })
  }
  return async (start, given) => {
    let url = start
    let headers = given
    for (let hops = 0; hops <= maxRedirects; hops += 1) {
      const answer = await once(url, headers)
      const { location } = answer.headers
      if (!redirects.includes(answer.statusCode) || location === undefined) return answer
      answer.destroy()
      const next = new URL(location, url)
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
