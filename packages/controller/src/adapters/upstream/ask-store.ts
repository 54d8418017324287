// Requests to the registry behind the image store: with its login, as soon as it asks for one, and with every failure in
// the words of the image store. What is asked for is left to registry-blobs.ts.
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { ImageError } from '../../core/images/image-error.ts'
import type { StoreAddress } from '../../core/images/store-address.ts'
import { UpstreamError } from '../../core/images/upstream-error.ts'
import type { Clock, Login } from '../../ports.ts'
import { authorize } from './authorize.ts'
import { type Asked, type Exchange, SilenceError } from './exchange.ts'
import { readLimited } from './read-answer.ts'

/** A registry that stores something answers within this; requests of deployments wait for it. */
const answerLimitMs = 10_000
/** After such a wait others do not wait again: it has just been seen that nobody answers. */
const restMs = 10_000
const maxRefusalBytes = 64 * 1024

export type StoreRequest = Omit<Asked, 'headers' | 'body'> & {
  /** Below the repository; or an address that the registry gave. */
  at: string | URL
  headers?: Asked['headers']
  /** Made anew when it has to be sent again. */
  body?: () => Readable | Buffer
}
export type AskStore = {
  /** @throws ImageError `STORE_UNAVAILABLE` */
  ask(request: StoreRequest): Promise<IncomingMessage>
  /** The answer's body. @throws ImageError `STORE_UNAVAILABLE`, `STORE_CORRUPT` */
  read(answer: IncomingMessage, maxBytes: number): Promise<Buffer>
  /** What an answer that is none of those expected says, by the registry's code where it gave one. */
  refusalOf(answer: IncomingMessage): Promise<{ code: string; error: ImageError }>
  /** An address that the registry gave, to be used with its login. */
  addressOf(location: string): URL
}
export type AskStorePorts = {
  address: StoreAddress
  exchange: Exchange
  login: () => Promise<Login | null>
  clock: Pick<Clock, 'nowMs'>
  /** For tests. */
  silenceMs?: number
}

export const createAskStore = (ports: AskStorePorts): AskStore => {
  const { address, exchange, login, clock, silenceMs = answerLimitMs } = ports
  const base = new URL(`${address.origin}/v2/${address.repository}/`)
  /** By what it is good for: tokens are given for one right. */
  const authorizations = new Map<string, string>()
  let restUntilMs = 0

  const sent = async (url: URL, asked: Asked): Promise<IncomingMessage> => {
    if (clock.nowMs() < restUntilMs)
      throw new UpstreamError('registry-unreachable', `${url.host} did not answer a moment ago`)
    try {
      return await exchange(url, { silenceMs, ...asked })
    } catch (error) {
      if (error instanceof Error && error.cause instanceof SilenceError) restUntilMs = clock.nowMs() + restMs
      throw error
    }
  }
  const ask = async ({ at, headers = {}, body, ...asked }: StoreRequest): Promise<IncomingMessage> => {
    const url = typeof at === 'string' ? new URL(at, base) : at
    const right = rightOf(asked.method)
    const once = () => {
      const authorization = url.origin === base.origin ? authorizations.get(right) : undefined
      return sent(url, {
        ...asked,
        headers: { ...headers, ...(authorization !== undefined && { authorization }) },
        ...(body && { body: body() })
      })
    }
    const first = await once()
    if (first.statusCode !== 401 || url.origin !== base.origin) return first
    first.destroy()
    const challenge = first.headers['www-authenticate']
    authorizations.set(right, await authorize(exchange, challenge, { login: await login(), registry: url }))
    return once()
  }
  return {
    ask: (request) => ask(request).catch(inOurWords),
    read: (answer, maxBytes) => readLimited(answer, maxBytes).catch(inOurWords),
    refusalOf: async (answer) => {
      const content = await readLimited(answer, maxRefusalBytes).catch(() => Buffer.alloc(0))
      const { code = '', message = '' } = readErrors(content.toString('utf8'))
      const said = code === '' ? '' : ` (${code}: ${message})`
      const hint = [401, 403].includes(answer.statusCode ?? 0)
        ? `; its login is the one of \`longshore registry login ${address.registry}\``
        : ''
      const detail = `the registry behind the image store: ${base.host} answered ${answer.statusCode}${said}${hint}`
      return { code, error: new ImageError('STORE_UNAVAILABLE', detail) }
    },
    addressOf: (location) => {
      const url = new URL(location, base)
      // behind a proxy that ends TLS many registries believe that they speak plain HTTP
      return url.host === base.host ? new URL(url.pathname + url.search, base) : url
    }
  }
}

const rightOf = (method: Asked['method']): string => {
  if (method === 'DELETE') return 'delete'
  return method === 'POST' || method === 'PUT' ? 'push' : 'pull'
}

const inOurWords = (error: unknown): never => {
  if (!(error instanceof UpstreamError)) throw error
  const code = error.code === 'registry-corrupt' ? 'STORE_CORRUPT' : 'STORE_UNAVAILABLE'
  throw new ImageError(code, `behind the image store, ${error.message}`, { cause: error })
}

type OciError = { code?: string; message?: string }
const readErrors = (body: string): OciError => {
  try {
    return (JSON.parse(body) as { errors?: OciError[] }).errors?.[0] ?? {}
  } catch {
    return {}
  }
}
