// The public keys of issuers: found by discovery (OpenID Connect Discovery 1.0, section 4), kept for ten minutes, asked for
// again at most every 30 s when a token names a key that is not among them. What a token then says is left to others.
import type { webcrypto } from 'node:crypto'
import { type IncomingMessage, request as requestPlain } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import { type ConnectionOptions, createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose'
import * as z from 'zod'
import { discoveryUrlOf, refusalOfKeysUrl } from '../../core/access/issuer-url.ts'
import { type IssuerKeys, IssuerUnavailable } from '../../ports.ts'

/** For both documents together; a pipeline waits meanwhile. */
const answerWithinMs = 5_000
/** GitLab's keys have 10 KiB. */
const maxDocumentBytes = 256 * 1024
const keptForMs = 10 * 60_000
/** A key that is not known is looked for again after this, and an issuer that failed is asked again. */
const askAgainAfterMs = 30_000
const failedForMs = 5_000
const minRsaBits = 2048

const discovery = z.object({ issuer: z.string(), jwks_uri: z.string() })
const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) })

/**
 * @param options.ca PEM; null: Node's list and the system's
 * @param options.waits for tests
 */
export const createIssuerKeys = (options: { ca: string | null; waits?: Partial<Waits> }): IssuerKeys => {
  const get = createGet(options.ca)
  const waits = { answerWithinMs, askAgainAfterMs, ...options.waits }
  const byIssuer = new Map<string, Keys>()
  const find = (issuer: string): Keys => {
    const known = byIssuer.get(issuer) ?? keysOf(get, issuer, waits)
    byIssuer.set(issuer, known)
    return known
  }
  return { of: (issuer) => find(issuer).key, renew: (issuer) => find(issuer).renew() }
}

type Waits = { answerWithinMs: number; askAgainAfterMs: number }
type Keys = { key: JWTVerifyGetKey; renew(): Promise<boolean> }

const keysOf = (get: Get, issuer: string, waits: Waits): Keys => {
  const limitMs = waits.answerWithinMs
  let failure: { error: IssuerUnavailable; untilMs: number } | undefined
  const fetchKeys = async (): Promise<Response> => {
    if (failure !== undefined && performance.now() < failure.untilMs) throw failure.error
    try {
      const keys = await discover(get, issuer, AbortSignal.timeout(limitMs))
      failure = undefined
      return Response.json(keys)
    } catch (cause) {
      const detail = describeFailure(cause, limitMs)
      const error = new IssuerUnavailable(detail, { cause })
      failure = { error, untilMs: performance.now() + failedForMs }
      throw error
    }
  }
  const remote = createRemoteJWKSet(discoveryUrlOf(issuer), {
    [customFetch]: fetchKeys,
    cacheMaxAge: keptForMs,
    cooldownDuration: waits.askAgainAfterMs
  })
  return {
    key: async (header, token) => demandLength(await remote(header, token).catch(unusable)),
    renew: async () => {
      if (remote.coolingDown) return false
      await remote.reload().catch(unusable)
      return true
    }
  }
}

/** RFC 7518, section 3.3: RSA keys have 2048 bits at least. */
const demandLength = (key: webcrypto.CryptoKey): webcrypto.CryptoKey => {
  const { modulusLength = minRsaBits } = key.algorithm as Partial<webcrypto.RsaKeyAlgorithm>
  if (modulusLength >= minRsaBits) return key
  throw new IssuerUnavailable(`its key has ${modulusLength} bits, ${minRsaBits} are needed`)
}

/** What jose cannot make a key of. */
const unusable = (error: unknown): never => {
  if (error instanceof IssuerUnavailable || error instanceof errors.JOSEError) throw error
  throw new IssuerUnavailable('it names a key that cannot be used', { cause: error })
}

const discover = async (get: Get, issuer: string, signal: AbortSignal): Promise<z.infer<typeof keySet>> => {
  const found = discovery.safeParse(await get(discoveryUrlOf(issuer), signal))
  if (!found.success) throw new IssuerUnavailable('its discovery document is not valid')
  const { issuer: named, jwks_uri: keysUrl } = found.data
  if (named !== issuer) throw new IssuerUnavailable('its discovery document is of another issuer')
  const refusal = refusalOfKeysUrl(issuer, keysUrl)
  if (refusal !== undefined) throw new IssuerUnavailable(refusal)
  const keys = keySet.safeParse(await get(new URL(keysUrl), signal))
  if (!keys.success) throw new IssuerUnavailable('its keys are not a JSON Web Key Set')
  return keys.data
}

/** A JSON document over GET; redirects are not followed: where an issuer publishes is said by its URL. */
type Get = (url: URL, signal: AbortSignal) => Promise<unknown>

const createGet = (ca: string | null): Get => {
  let context: SecureContext | undefined
  /** Costs some megabytes with the system's list: made once, and only for https. */
  const trusted = (): SecureContext => {
    context ??= createSecureContext({
      ca: ca ?? [...getCACertificates('default'), ...getCACertificates('system')]
    })
    return context
  }
  return async (url, signal) => {
    const asked: RequestOptions & Pick<ConnectionOptions, 'secureContext'> = {
      agent: false,
      signal,
      headers: { accept: 'application/json', 'user-agent': 'longshore' }
    }
    if (url.protocol === 'https:') asked.secureContext = trusted()
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const open = url.protocol === 'https:' ? requestTls : requestPlain
      open(url, asked, resolve).on('error', reject).end()
    })
    return readDocument(url, answer)
  }
}

const readDocument = async (url: URL, answer: IncomingMessage): Promise<unknown> => {
  try {
    if (answer.statusCode !== 200)
      throw new IssuerUnavailable(`${url.host} answered with HTTP status ${answer.statusCode}`)
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > maxDocumentBytes) throw new IssuerUnavailable(`${url.host} answered with too much`)
      chunks.push(chunk)
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw error instanceof SyntaxError ? new IssuerUnavailable(`${url.host} answered with no JSON`) : error
  } finally {
    answer.destroy()
  }
}

const describeFailure = (error: unknown, limitMs: number): string => {
  if (error instanceof IssuerUnavailable) return error.message
  if (!(error instanceof Error)) return 'no answer'
  const isLate = error.name === 'AbortError' || error.name === 'TimeoutError'
  return isLate ? `no answer within ${limitMs / 1000} s` : `no answer: ${reasonsOf(error)}`
}

/** With several addresses tried, Node's own message is empty and the reasons are inside. */
const reasonsOf = (error: Error): string =>
  error instanceof AggregateError ? error.errors.map(String).join('; ') : error.message
