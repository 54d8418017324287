// The public keys of issuers: found by discovery (OpenID Connect Discovery 1.0, section 4), kept for ten minutes, asked for
// again at most every 30 s when a token names a key that is not among them. What a token then says is left to others.
import type { webcrypto } from 'node:crypto'
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose'
import * as z from 'zod'
import { discoveryUrlOf } from '../../core/access/issuer-url.ts'
import { type IssuerKeys, IssuerUnavailable } from '../../ports.ts'
import { type AskIssuer, createAskIssuer, getDocument, unavailable } from './ask-issuer.ts'
import { discoverIssuer } from './discover-issuer.ts'

/** For both documents together; a pipeline waits meanwhile. */
const answerWithinMs = 5_000
const keptForMs = 10 * 60_000
/** A key that is not known is looked for again after this, and an issuer that failed is asked again. */
const askAgainAfterMs = 30_000
const failedForMs = 5_000
const minRsaBits = 2048

const discovery = z.object({ jwks_uri: z.string() })
const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) })

/**
 * @param options.ca PEM; null: Node's list and the system's
 * @param options.waits for tests
 */
export const createIssuerKeys = (options: { ca: string | null; waits?: Partial<Waits> }): IssuerKeys => {
  const ask = createAskIssuer(options.ca)
  const waits = { answerWithinMs, askAgainAfterMs, ...options.waits }
  const byIssuer = new Map<string, Keys>()
  const find = (issuer: string): Keys => {
    const known = byIssuer.get(issuer) ?? keysOf(ask, issuer, waits)
    byIssuer.set(issuer, known)
    return known
  }
  return { of: (issuer) => find(issuer).key, renew: (issuer) => find(issuer).renew() }
}

type Waits = { answerWithinMs: number; askAgainAfterMs: number }
type Keys = { key: JWTVerifyGetKey; renew(): Promise<boolean> }

const keysOf = (ask: AskIssuer, issuer: string, waits: Waits): Keys => {
  const limitMs = waits.answerWithinMs
  let failure: { error: IssuerUnavailable; untilMs: number } | undefined
  const fetchKeys = async (): Promise<Response> => {
    if (failure !== undefined && performance.now() < failure.untilMs) throw failure.error
    try {
      const keys = await discover(ask, issuer, AbortSignal.timeout(limitMs))
      failure = undefined
      return Response.json(keys)
    } catch (cause) {
      const error = unavailable(cause, limitMs)
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

const discover = async (
  ask: AskIssuer,
  issuer: string,
  signal: AbortSignal
): Promise<z.infer<typeof keySet>> => {
  const { jwks_uri: keysUrl } = await discoverIssuer(ask, issuer, discovery, signal)
  const keys = keySet.safeParse(await getDocument(ask, new URL(keysUrl), signal))
  if (!keys.success) throw new IssuerUnavailable('its keys are not a JSON Web Key Set')
  return keys.data
}
