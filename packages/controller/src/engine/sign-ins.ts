// How people sign in at the page with an issuer: the way there, bound to one browser by a sealed cookie that lasts
// minutes, and what comes back. Nothing of it is stored. Whom the claims stand for later is left to people.ts, the
// protocol with the issuer to an adapter, how cookies travel to the HTTP edge.
import { ApiError } from '../api/errors.ts'
import type { SignInView } from '../api/schemas.ts'
import { callbackOf } from '../core/access/issuer-url.ts'
import { lacksClaims, type Person, readableOf } from '../core/access/sign-in.ts'
import {
  type Clock,
  type IssuerRow,
  IssuerUnavailable,
  type Random,
  type Sealer,
  type SignInChecks,
  type SignInClient,
  type SignInFlow,
  SignInRefused,
  type Store
} from '../ports.ts'
import { openClientSecret } from './client-secrets.ts'
import type { IdTokens } from './id-tokens.ts'

/** Long enough to look for a second factor. */
export const signInMs = 10 * 60_000

/** Many rules that do not fit are many words: a browser drops a cookie of more than 4096 bytes, and tells nobody. */
const maxRefusalChars = 800

export type SignIns = {
  /** The issuers with which people can sign in: seen by whoever sees the page. */
  offered(): Promise<SignInView['issuers']>
  /**
   * @param view where the page goes on afterwards
   * @returns where the browser goes to, and what it has to bring back
   * @throws ApiError `unknown-issuer`, `issuer-unavailable`, `wrong-state` (its client secret cannot be opened)
   */
  begin(issuer: string, view: string): Promise<{ url: string; sealed: string }>
  /**
   * @param sealed what the browser brings back; undefined: nothing
   * @param query with which the issuer sent it here
   * @throws ApiError `unauthenticated`, and as `begin`
   */
  finish(issuer: string, sealed: string | undefined, query: string): Promise<{ person: Person; view: string }>
  /** Where the page goes on when it came to nothing: a view of its own, whatever is sealed. */
  viewOf(sealed: string | undefined): Promise<string>
  /** Keeps for the page, in the browser, why it came to nothing: an address could be anybody's words. */
  sealRefusal(detail: string): Promise<string>
  /** null: that is none. */
  openRefusal(sealed: string): Promise<string | null>
}

type Ports = {
  store: Pick<Store, 'issuers'>
  sealer: Sealer
  clock: Clock
  random: Random
  flow: SignInFlow
  idTokens: Pick<IdTokens, 'verify'>
}

/** What is sealed is told apart from what else is sealed under that key. */
type Begun = {
  kind: 'sign-in-begun'
  issuer: string
  /** To another address, or for another client, what comes back is not what was asked for. */
  url: string
  clientId: string
  checks: SignInChecks
  view: string
  untilMs: number
}
type Refused = { kind: 'sign-in-refused'; detail: string }

export const createSignIns = (ports: Ports): SignIns => ({
  offered: async () =>
    (await ports.store.issuers()).flatMap(({ name, signIn }) =>
      signIn === null ? [] : [{ name, pageUrl: signIn.pageUrl }]
    ),
  begin: (issuer, view) => begin(ports, issuer, view),
  finish: (issuer, sealed, query) => finish(ports, issuer, sealed, query),
  viewOf: async (sealed) => {
    const content = sealed === undefined ? undefined : await open<Begun>(ports.sealer, sealed)
    return content?.kind === 'sign-in-begun' ? content.view : '#/'
  },
  sealRefusal: (detail) => {
    const isCut = detail.length > maxRefusalChars
    const said = isCut
      ? `${detail.slice(0, maxRefusalChars)}... (all of it is in the controller's log)`
      : detail
    return ports.sealer.seal(JSON.stringify({ kind: 'sign-in-refused', detail: said } satisfies Refused))
  },
  openRefusal: async (sealed) => {
    const content = await open<Refused>(ports.sealer, sealed)
    return content?.kind === 'sign-in-refused' ? content.detail : null
  }
})

const begin = async (ports: Ports, issuer: string, view: string) => {
  const { row, client } = await clientOf(ports, issuer)
  const checks = { state: newSecret(ports), nonce: newSecret(ports), verifier: newSecret(ports) }
  const url = await ports.flow.addressFor(client, checks).catch(refuse(issuer))
  const untilMs = ports.clock.nowMs() + signInMs
  const { url: of, audience: clientId } = row
  const content: Begun = { kind: 'sign-in-begun', issuer, url: of, clientId, checks, view, untilMs }
  return { url: url.href, sealed: await ports.sealer.seal(JSON.stringify(content)) }
}

const finish = async (ports: Ports, issuer: string, sealed: string | undefined, query: string) => {
  const { checks, view, url, clientId } = await demandBegun(ports, issuer, sealed, query)
  const { row, client } = await clientOf(ports, issuer)
  if (row.url !== url || row.audience !== clientId)
    throw unauthenticated(`issuer ${issuer} was changed meanwhile: start again`)
  const { idToken, furtherClaims } = await ports.flow.exchange(client, checks, query).catch(refuse(issuer))
  const own = await ports.idTokens.verify(url, idToken)
  // groups are in the ID token with some issuers, and are asked for with others (OpenID Connect Core 1.0, section 5.3)
  const isEnough = !lacksClaims(row.rules, own) && readableOf(own) !== null
  const claims = isEnough ? own : { ...(await furtherClaims().catch(refuse(issuer))), ...own }
  return { person: { issuer, readable: readableOf(claims), claims }, view }
}

const demandBegun = async (
  { sealer, clock }: Ports,
  issuer: string,
  sealed: string | undefined,
  query: string
): Promise<Begun> => {
  const content = sealed === undefined ? undefined : await open<Begun>(sealer, sealed)
  if (content?.kind !== 'sign-in-begun' || content.issuer !== issuer)
    throw unauthenticated('this browser has begun no such sign-in, or it is over: start again')
  if (content.untilMs <= clock.nowMs())
    throw unauthenticated(`a sign-in has to be done within ${signInMs / 60_000} minutes: start again`)
  if (new URLSearchParams(query).get('state') !== content.checks.state)
    throw unauthenticated('that answer is of another sign-in: start again')
  return content
}

const clientOf = async (
  { store, sealer }: Ports,
  issuer: string
): Promise<{ row: IssuerRow; client: SignInClient }> => {
  const row = (await store.issuers()).find(({ name, signIn }) => name === issuer && signIn !== null)
  if (row?.signIn == null) throw new ApiError('unknown-issuer', `nobody signs in with an issuer ${issuer}`)
  const { clientId, scopes, pageUrl } = row.signIn
  const clientSecret = await openClientSecret(sealer, row)
  return {
    row,
    client: { url: row.url, clientId, clientSecret, scopes, callback: callbackOf(pageUrl, issuer) }
  }
}

/** 256 bits; as a verifier 43 characters, the least that RFC 7636 lets in. */
const newSecret = ({ random }: Ports): string => Buffer.from(random.bytes(32)).toString('base64url')

const open = async <T extends { kind: string }>(sealer: Sealer, sealed: string): Promise<T | undefined> => {
  try {
    return JSON.parse(await sealer.open(sealed)) as T
  } catch {
    return undefined
  }
}

const refuse =
  (issuer: string) =>
  (error: unknown): never => {
    if (error instanceof IssuerUnavailable)
      throw new ApiError('issuer-unavailable', `issuer ${issuer}: ${error.message}`)
    if (error instanceof SignInRefused)
      throw unauthenticated(`issuer ${issuer} did not let you in: ${error.message}`)
    throw error
  }

const unauthenticated = (detail: string): ApiError => new ApiError('unauthenticated', detail)
