// Who asks with an ID token of an issuer (OpenID Connect Core 1.0, section 3.1.3.7)? Checks signature and times; what
// the claims allow is decided in core/access/claims.ts, and the keys are fetched by an adapter.
import { limits } from '@longshore/protocol'
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import { ApiError } from '../api/errors.ts'
import { clockToleranceMs, type IdClaims, judgeClaims } from '../core/access/claims.ts'
import { type Clock, type IssuerKeys, type IssuerRow, IssuerUnavailable, type Store } from '../ports.ts'
import type { Caller } from './tokens.ts'

export type IdTokens = {
  /** @throws ApiError `unauthenticated`, `claims-refused` or `issuer-unavailable` */
  authenticate(token: string, address: string): Promise<Caller>
  /**
   * Only who signed it, and whether it counts now: for whom it was made and what it allows is left to the caller.
   * @throws ApiError `unauthenticated` or `issuer-unavailable`
   */
  verify(issuerUrl: string, token: string): Promise<IdClaims>
  /**
   * Whether what was recognised before would still be allowed all that it was. The end of the token's time is not: a
   * stream that it opened goes on until the issuer's limit of age, so that a deployment may take longer than a token.
   */
  isGood(caller: Caller): Promise<boolean>
}

type Ports = { store: Store; clock: Clock; issuerKeys: IssuerKeys }

/** With a public key only (RFC 8725, section 3.1): a secret shared with an issuer could be used by both. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519'
]

/** OpenID Connect Core 1.0, section 2: a subject has 255 ASCII characters at most. */
const subject = /^[\x20-\x7e]{1,255}$/

export const createIdTokens = (ports: Ports): IdTokens => ({
  authenticate: async (token, address) => {
    const url = urlOf(token)
    const issuers = await issuersOf(ports.store, url)
    const claims = await verify(ports, url, token)
    const verdict = judgeClaims(issuers, claims, ports.clock.nowMs())
    if (verdict.kind === 'not-valid') throw unauthenticated(verdict.detail)
    if (verdict.kind === 'no-rule') throw new ApiError('claims-refused', verdict.detail)
    const who = `oidc:${verdict.issuer}/${claims.sub}`
    return { actor: { kind: 'id-token', id: who, name: who, address }, allow: verdict.allow, claims }
  },
  verify: (issuerUrl, token) => verify(ports, issuerUrl, token),
  isGood: async ({ claims, allow }) => {
    if (claims === undefined) return false
    const issuers = await sendersOf(ports.store, String(claims['iss']))
    const verdict = judgeClaims(issuers, claims, ports.clock.nowMs())
    return verdict.kind === 'allowed' && allow.every((permission) => verdict.allow.includes(permission))
  }
})

/** Not believed yet: only says whose keys to ask. */
const urlOf = (token: string): string => {
  if (token.length > limits.maxTokenBytes) throw unauthenticated('the ID token is too long')
  try {
    return decodeJwt(token).iss ?? ''
  } catch {
    throw unauthenticated('what was sent is neither an API token nor an ID token')
  }
}

const issuersOf = async (store: Store, url: string): Promise<IssuerRow[]> => {
  const issuers = await sendersOf(store, url)
  if (issuers.length === 0) throw unauthenticated('the ID token is of an issuer that is not known here')
  return issuers
}

/** Whose tokens are sent by whoever asks. With the others people sign in, and their tokens are of no use here. */
const sendersOf = async (store: Store, url: string): Promise<IssuerRow[]> =>
  (await store.issuers()).filter((row) => row.url === url && row.signIn === null)

const verify = async ({ clock, issuerKeys }: Ports, issuer: string, token: string): Promise<IdClaims> => {
  const check = () =>
    jwtVerify(token, issuerKeys.of(issuer), {
      algorithms,
      issuer,
      clockTolerance: clockToleranceMs / 1000,
      currentDate: new Date(clock.nowMs()),
      requiredClaims: ['sub', 'aud', 'exp', 'iat']
    })
  try {
    const { payload } = await check().catch(async (error: unknown) => {
      // Jenkins names a key by its credential, whose key is another one after it was saved again
      const mayBeNew = error instanceof errors.JWSSignatureVerificationFailed
      if (mayBeNew && (await issuerKeys.renew(issuer))) return check()
      throw error
    })
    return requireClaims(payload)
  } catch (error) {
    if (error instanceof IssuerUnavailable)
      throw new ApiError('issuer-unavailable', `issuer ${issuer}: ${error.message}`)
    if (error instanceof errors.JOSEError) throw unauthenticated(reasonOf(error))
    throw error
  }
}

const requireClaims = (payload: JWTPayload): IdClaims => {
  const { sub, iat } = payload
  if (typeof sub !== 'string' || !subject.test(sub))
    throw unauthenticated('the subject of the ID token is not valid')
  if (typeof iat !== 'number') throw unauthenticated('the ID token does not say when it was issued')
  return { ...payload, sub, iat }
}

const reasonOf = (error: errors.JOSEError): string => {
  if (error instanceof errors.JWTExpired) return 'the ID token has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the claim ${error.claim} of the ID token is ${error.reason === 'missing' ? 'missing' : 'not valid'}`
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'the ID token is signed with a key that its issuer does not name'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the ID token is wrong'
  return error instanceof errors.JOSEAlgNotAllowed
    ? 'the ID token is not signed with a public key algorithm'
    : 'the ID token cannot be read'
}

const unauthenticated = (detail: string): ApiError => new ApiError('unauthenticated', detail)
