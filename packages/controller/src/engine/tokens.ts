// Join tokens and API tokens: made, listed, revoked, and API tokens recognised. A token is a JWS signed by the
// controller; the store keeps what it allows, never the token itself. Which permission covers what is decided
// in core/access.
import {
  type ApiClaims,
  apiClaims,
  formatId,
  type JoinClaims,
  ProtocolError,
  type ProtocolErrorCode,
  signJws,
  type TokenId,
  verifyJws
} from '@longshore/protocol'
import type * as z from 'zod'
import { ApiError } from '../api/errors.ts'
import type {
  ApiTokenView,
  createApiToken,
  createdToken,
  createJoinToken,
  JoinTokenView,
  Permission
} from '../api/schemas.ts'
import type { IdClaims } from '../core/access/claims.ts'
import { mayManageToken, notGrantable } from '../core/access/permissions.ts'
import type { Person } from '../core/access/sign-in.ts'
import {
  type Actor,
  type ApiTokenRow,
  type Clock,
  type Random,
  type Store,
  StoreFull,
  type Tx
} from '../ports.ts'
import type { Installation } from './installation.ts'
import { requireEnvironment } from './require-named.ts'
import type { Writer } from './writer.ts'

/**
 * Who asks, as the token says it. `claims`: of an ID token. `person`: who signed in at the page with an issuer.
 * `untilMs`: the end of the session that asks, when it is one.
 */
export type Caller = {
  actor: Actor
  allow: readonly Permission[]
  claims?: IdClaims
  person?: Person
  untilMs?: number
}
export type CreatedToken = z.infer<typeof createdToken>
type JoinTokenWish = z.infer<typeof createJoinToken>
type ApiTokenWish = z.infer<typeof createApiToken>

export type Tokens = {
  /** @throws ApiError `unauthenticated`, saying what is wrong with the token */
  authenticate(token: string, address: string): Promise<Caller>
  /** Whether an API token that was recognised before is neither revoked nor expired by now. */
  isGood(id: string): Promise<boolean>
  createJoinToken(caller: Caller, wish: JoinTokenWish): Promise<CreatedToken>
  createApiToken(caller: Caller, wish: ApiTokenWish): Promise<CreatedToken>
  joinTokens(): Promise<JoinTokenView[]>
  apiTokens(): Promise<ApiTokenView[]>
  revokeJoinToken(caller: Caller, id: string): Promise<void>
  revokeApiToken(caller: Caller, id: string): Promise<void>
}

type TokensPorts = { store: Store; writer: Writer; clock: Clock; random: Random; installation: Installation }

/** The time of last use is written at most this often: a poll every second must not be a write every second. */
const lastUsedEveryMs = 60_000

export const createTokens = (ports: TokensPorts): Tokens => ({
  authenticate: (token, address) => authenticate(ports, token, address),
  isGood: async (id) => {
    const row = await ports.store.apiToken(id)
    return row !== undefined && refusalOf(row, ports.clock.nowMs()) === undefined
  },
  createJoinToken: (caller, wish) => makeJoinToken(ports, caller, wish),
  createApiToken: (caller, wish) => {
    demandGrantable(caller, wish.allow)
    return makeApiToken(ports, caller.actor, wish)
  },
  joinTokens: () => ports.store.joinTokens(),
  apiTokens: () => ports.store.apiTokens(),
  revokeJoinToken: async (caller, id) => {
    const note = { actor: caller.actor, action: 'join-token.revoke', subject: id, request: {} }
    await ports.writer.change(note, async (tx) => {
      const row = await tx.joinToken(id)
      if (row === undefined) throw new ApiError('unknown-token', `there is no join token ${id}`)
      await tx.putJoinToken({ ...row, revokedAtMs: row.revokedAtMs ?? ports.clock.nowMs() })
    })
  },
  revokeApiToken: async (caller, id) => {
    const note = { actor: caller.actor, action: 'api-token.revoke', subject: id, request: {} }
    await ports.writer.change(note, async (tx) => {
      const row = await tx.apiToken(id)
      if (row === undefined) throw new ApiError('unknown-token', `there is no API token ${id}`)
      if (!mayManageToken(caller.allow, row.allow)) {
        throw new ApiError('forbidden', `token ${id} allows more than this token may manage`)
      }
      await tx.putApiToken({ ...row, revokedAtMs: row.revokedAtMs ?? ports.clock.nowMs() })
    })
  }
})

/** Also used for the first token of an installation, which nobody could ask for. */
export const makeApiToken = async (
  ports: TokensPorts,
  actor: Actor,
  wish: ApiTokenWish
): Promise<CreatedToken> => {
  const nowMs = ports.clock.nowMs()
  const row: ApiTokenRow = {
    id: formatId<TokenId>('tok', ports.random.bytes(13)),
    name: wish.name,
    allow: wish.allow,
    createdAtMs: nowMs,
    expiresAtMs: wish.ttlMs === null ? null : nowMs + wish.ttlMs,
    lastUsedAtMs: null,
    revokedAtMs: null
  }
  const claims: ApiClaims = {
    installation: ports.installation.id,
    id: row.id,
    name: row.name,
    issuedAtMs: nowMs,
    expiresAtMs: row.expiresAtMs
  }
  const token = await signJws('api', claims, ports.installation.key)
  const note = { actor, action: 'api-token.create', subject: row.id, request: wish }
  await ports.writer.change(note, (tx) => tx.putApiToken(row))
  return { id: row.id, token }
}

const makeJoinToken = async (
  ports: TokensPorts,
  caller: Caller,
  wish: JoinTokenWish
): Promise<CreatedToken> => {
  const nowMs = ports.clock.nowMs()
  const id = formatId<TokenId>('tok', ports.random.bytes(13))
  const { environment, labels, replace } = wish
  const expiresAtMs = nowMs + wish.ttlMs
  const { installation } = ports
  const claims: JoinClaims = {
    installation: installation.id,
    id,
    key: installation.key.kid,
    environment,
    labels,
    issuedAtMs: nowMs,
    expiresAtMs,
    uses: wish.uses,
    replace
  }
  const token = await signJws('join', claims, installation.key)
  const note = { actor: caller.actor, action: 'join-token.create', subject: id, request: wish }
  await ports.writer.change(note, async (tx) => {
    await requireEnvironment(tx, environment)
    const usage = { usesMax: wish.uses, usesCount: 0 }
    const row = {
      id,
      environment,
      labels,
      replace,
      ...usage,
      createdAtMs: nowMs,
      expiresAtMs,
      revokedAtMs: null
    }
    await tx.putJoinToken(row)
  })
  return { id, token }
}

/** @throws ApiError `forbidden`, naming what the caller may not hand on */
export const demandGrantable = (caller: Caller, wanted: readonly Permission[]): void => {
  const excess = notGrantable(caller.allow, wanted)
  if (excess.length === 0) return
  throw new ApiError('forbidden', `this token cannot hand on what it may not do itself: ${excess.join(', ')}`)
}

const authenticate = async (ports: TokensPorts, token: string, address: string): Promise<Caller> => {
  const claims = await verifyJws('api', token, ports.installation.keyOf, apiClaims).catch(
    (error: unknown) => {
      const isForeign = error instanceof ProtocolError && foreign.includes(error.code)
      throw unauthenticated(
        isForeign ? 'the API token was not made by this controller' : 'what was sent is not an API token'
      )
    }
  )
  if (claims.installation !== ports.installation.id)
    throw unauthenticated('the token is for another installation')
  const row = await ports.store.apiToken(claims.id)
  if (row === undefined) throw unauthenticated(`token ${claims.id} is not known`)
  const nowMs = ports.clock.nowMs()
  const refusal = refusalOf(row, nowMs)
  if (refusal !== undefined) throw unauthenticated(refusal)
  await noteUse(ports, row, nowMs)
  return { actor: { kind: 'api-token', id: row.id, name: row.name, address }, allow: row.allow }
}

const refusalOf = (row: ApiTokenRow, nowMs: number): string | undefined => {
  if (row.revokedAtMs !== null) return `token ${row.id} was revoked`
  return row.expiresAtMs !== null && nowMs >= row.expiresAtMs ? `token ${row.id} has expired` : undefined
}

/** A good token of another installation, or one that was tampered with. */
const foreign: readonly ProtocolErrorCode[] = ['key-unknown', 'signature-invalid']

const noteUse = async (ports: TokensPorts, row: ApiTokenRow, nowMs: number): Promise<void> => {
  if (row.lastUsedAtMs !== null && nowMs - row.lastUsedAtMs < lastUsedEveryMs) return
  const work = async (tx: Tx) => {
    const latest = await tx.apiToken(row.id)
    if (latest !== undefined) await tx.putApiToken({ ...latest, lastUsedAtMs: nowMs })
  }
  await ports.writer.step(work).catch((error: unknown) => {
    // whoever looks after a full disk must be able to look
    if (!(error instanceof StoreFull)) throw error
  })
}

const unauthenticated = (detail: string): ApiError => new ApiError('unauthenticated', detail)
