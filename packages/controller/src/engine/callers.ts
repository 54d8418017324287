// Who asks the API? By the `typ` of what was sent: an API token of the controller's own, or an ID token of an issuer.
import { decodeProtectedHeader } from 'jose'
import type { Clock } from '../ports.ts'
import type { IdTokens } from './id-tokens.ts'
import type { People } from './people.ts'
import type { Caller, Tokens } from './tokens.ts'

export type Callers = {
  /** @throws ApiError `unauthenticated`, and for ID tokens `claims-refused` or `issuer-unavailable` */
  authenticate(token: string, address: string): Promise<Caller>
  /** Whether somebody who was recognised before may go on. */
  isGood(caller: Caller): Promise<boolean>
}

export const createCallers = (ports: {
  tokens: Pick<Tokens, 'authenticate' | 'isGood'>
  idTokens: IdTokens
  people: Pick<People, 'isGood'>
  clock: Clock
}): Callers => ({
  authenticate: (token, address) =>
    (isIdToken(token) ? ports.idTokens : ports.tokens).authenticate(token, address),
  isGood: async (caller) => {
    if (caller.untilMs !== undefined && caller.untilMs <= ports.clock.nowMs()) return false
    if (caller.person !== undefined) return ports.people.isGood(caller.person, caller.allow)
    return caller.actor.kind === 'id-token'
      ? ports.idTokens.isGood(caller)
      : ports.tokens.isGood(caller.actor.id)
  }
})

/** RFC 7519, section 5.1; whoever leaves it out means the same. Access tokens (RFC 9068) have a type of their own. */
const isIdToken = (token: string): boolean => {
  try {
    const { typ = 'JWT' } = decodeProtectedHeader(token)
    return typ.toUpperCase() === 'JWT'
  } catch {
    return false
  }
}
