// Issuers whose ID tokens are taken, or with which people sign in: set, listed, removed. Whom a token then stands for is
// left to id-tokens.ts, and signing in to sign-ins.ts.
import { ApiError } from '../api/errors.ts'
import type { IssuerView, Permission, SetIssuer } from '../api/schemas.ts'
import { callbackOf, refusalOfBaseUrl } from '../core/access/issuer-url.ts'
import { isAllowed, mayManageToken } from '../core/access/permissions.ts'
import type { Clock, IssuerRow, Sealer, Store, Tx } from '../ports.ts'
import { sealClientSecret } from './client-secrets.ts'
import type { Installation } from './installation.ts'
import { type Caller, demandGrantable } from './tokens.ts'
import type { Writer } from './writer.ts'

/** More is a mistake. */
const maxIssuers = 100

export type Issuers = {
  /**
   * In the place of a former one of this name.
   * @throws ApiError `invalid-request` (its URL, that of the page, no client secret), `forbidden`, `wrong-state` (too many)
   */
  set(caller: Caller, name: string, wish: SetIssuer): Promise<IssuerView>
  /** Those that the caller may manage. */
  list(caller: Caller): Promise<IssuerView[]>
  /** @throws ApiError `unknown-issuer` with those that the caller may manage */
  remove(caller: Caller, name: string): Promise<void>
}

type Ports = { store: Store; writer: Writer; clock: Clock; sealer: Sealer; installation: Installation }

export const createIssuers = (ports: Ports): Issuers => ({
  set: (caller, name, wish) => set(ports, caller, name, wish),
  list: async (caller) => (await ports.store.issuers()).filter((row) => mayManage(caller, row)).map(viewOf),
  remove: (caller, name) => {
    const note = { actor: caller.actor, action: 'issuer.remove', subject: name, request: {} }
    return ports.writer.change(note, async (tx) => {
      const known = (await tx.issuers()).filter((row) => mayManage(caller, row)).map((row) => row.name)
      if (!known.includes(name)) throw new ApiError('unknown-issuer', `there is no issuer ${name}`, { known })
      await tx.deleteIssuer(name)
    })
  }
})

const set = async (ports: Ports, caller: Caller, name: string, wish: SetIssuer): Promise<IssuerView> => {
  const { writer, clock } = ports
  demandUrls(wish)
  demandGrantable(caller, permissionsOf(wish))
  if (wish.signIn !== null) demandPage(caller)
  const { url, maxAgeMs, rules } = wish
  const set = { name, url, audience: audienceOf(ports, wish), maxAgeMs, rules }
  const sealed = await sealedOf(ports, wish)
  const row = { ...set, setAtMs: clock.nowMs(), setBy: caller.actor.name }
  const note = { actor: caller.actor, action: 'issuer.set', subject: name, request: withoutSecret(wish) }
  return writer.change(note, async (tx) => {
    const former = await demandPlace(tx, caller, name)
    const signIn = signInOf(wish, sealed ?? keptSecret(wish, former))
    await tx.putIssuer({ ...row, signIn })
    return viewOf({ ...row, signIn })
  })
}

const demandUrls = ({ url, signIn }: SetIssuer): void => {
  const refusal = refusalOfBaseUrl(url)
  if (refusal !== undefined) throw new ApiError('invalid-request', `the URL of an issuer: ${refusal}`)
  const other = signIn === null ? undefined : refusalOfBaseUrl(signIn.pageUrl)
  if (other !== undefined) throw new ApiError('invalid-request', `the URL of the page: ${other}`)
}

/** Its button is seen by everybody who is about to sign in, and leads away from the page. */
const demandPage = ({ allow }: Caller): void => {
  if (isAllowed(allow, { verb: 'tokens', environment: '*', service: '*' })) return
  throw new ApiError('forbidden', "the sign-in page is everybody's: only tokens:*/* sets a client for it")
}

/** @returns the former one. @throws ApiError `forbidden`, `wrong-state` */
const demandPlace = async (tx: Tx, caller: Caller, name: string): Promise<IssuerRow | undefined> => {
  const rows = await tx.issuers()
  const former = rows.find((one) => one.name === name)
  if (former !== undefined && !mayManage(caller, former))
    throw new ApiError('forbidden', `issuer ${name} allows more than this token may manage`)
  if (former === undefined && rows.length >= maxIssuers)
    throw new ApiError('wrong-state', `there are ${maxIssuers} issuers already`)
  return former
}

/** Of an ID token that somebody got by signing in, the client; so none is of use for the other purpose. */
const audienceOf = ({ installation }: Ports, { audience, signIn }: SetIssuer): string =>
  signIn === null ? (audience ?? installation.id) : signIn.clientId

const sealedOf = async ({ sealer }: Ports, { url, signIn }: SetIssuer): Promise<string | undefined> => {
  if (signIn?.clientSecret === undefined) return undefined
  const { clientId, clientSecret } = signIn
  return sealClientSecret(sealer, { url, clientId, clientSecret })
}

/** Rules change more often than secrets do; to another address, or as another client, a secret is not sent. */
const keptSecret = ({ url, signIn }: SetIssuer, former: IssuerRow | undefined): string | undefined =>
  former?.url === url && former.signIn?.clientId === signIn?.clientId ? former.signIn?.sealed : undefined

const signInOf = ({ signIn }: SetIssuer, sealed: string | undefined): IssuerRow['signIn'] => {
  if (signIn === null) return null
  const { clientId, scopes, pageUrl } = signIn
  if (sealed !== undefined) return { clientId, sealed, scopes, pageUrl }
  throw new ApiError(
    'invalid-request',
    'a client that is new here, or at another URL, needs its client secret'
  )
}

const withoutSecret = ({ signIn, ...wish }: SetIssuer): object => {
  if (signIn === null) return wish
  const { clientSecret: _, ...shown } = signIn
  return { ...wish, signIn: shown }
}

const viewOf = ({ signIn, ...row }: IssuerRow): IssuerView => {
  if (signIn === null) return { ...row, signIn }
  const { sealed: _, ...shown } = signIn
  return { ...row, signIn: { ...shown, redirectUri: callbackOf(signIn.pageUrl, row.name) } }
}

const permissionsOf = ({ rules }: Pick<IssuerRow, 'rules'>): Permission[] =>
  rules.flatMap(({ allow }) => allow)

const mayManage = ({ allow }: Caller, row: IssuerRow): boolean => mayManageToken(allow, permissionsOf(row))
