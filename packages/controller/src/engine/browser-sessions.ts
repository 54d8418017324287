// Who asks from a browser? Signing in turns a token, or what an issuer says of a person, into a cookie that only this
// controller can read: it and an end, sealed. Nothing of it is stored: a restart ends no session, and a revoked token or
// a rule that is taken away ends it with the next request. How the cookie travels is the HTTP edge's business.
import { ApiError } from '../api/errors.ts'
import type { Person } from '../core/access/sign-in.ts'
import type { Clock, Sealer } from '../ports.ts'
import type { Callers } from './callers.ts'
import type { People } from './people.ts'
import type { Caller } from './tokens.ts'

/** `sealed`: the value of the cookie, base64url and dots. */
export type BegunSession = { sealed: string; untilMs: number }
export type BrowserSessions = {
  /**
   * @param token an API token or an ID token
   * @throws ApiError as `Callers.authenticate`, and `too-large`
   */
  begin(token: string, address: string): Promise<BegunSession>
  /** @throws ApiError as `People.admit`, and `too-large` */
  beginFor(person: Person): Promise<BegunSession>
  /** @throws ApiError `unauthenticated`, and as `Callers.authenticate` */
  authenticate(sealed: string, address: string): Promise<Caller>
}

/** A working day: whoever comes back the next morning signs in. */
export const sessionMs = 12 * 3_600_000

/** RFC 6265bis, section 5.7: browsers drop a cookie whose name and value have more than 4096 bytes, and tell nobody. */
const maxSealedChars = 4000

/** What is sealed is told apart from what else is sealed under that key. */
type Content =
  | { kind: 'browser-session'; token: string; untilMs: number }
  | { kind: 'person-session'; person: Person; untilMs: number }

type Ports = {
  callers: Pick<Callers, 'authenticate'>
  people: Pick<People, 'admit' | 'recognise'>
  sealer: Sealer
  clock: Clock
}

export const createBrowserSessions = (ports: Ports): BrowserSessions => {
  const { callers, people, sealer, clock } = ports
  const seal = async (content: Content, tooLarge: string): Promise<BegunSession> => {
    const sealed = await sealer.seal(JSON.stringify(content))
    if (sealed.length > maxSealedChars) throw new ApiError('too-large', tooLarge)
    return { sealed, untilMs: content.untilMs }
  }
  return {
    begin: async (token, address) => {
      await callers.authenticate(token, address)
      const untilMs = clock.nowMs() + sessionMs
      return seal({ kind: 'browser-session', token, untilMs }, 'the token is longer than a browser keeps')
    },
    beginFor: async (stranger) => {
      const person = await people.admit(stranger)
      const untilMs = clock.nowMs() + sessionMs
      const tooLarge = `the rules of issuer ${person.issuer} fit more groups than a browser keeps: an administrator has to name fewer`
      return seal({ kind: 'person-session', person, untilMs }, tooLarge)
    },
    authenticate: async (sealed, address) => {
      const content = await open(sealer, sealed)
      if (content === undefined)
        throw new ApiError('unauthenticated', 'the session is none of this controller')
      if (content.untilMs <= clock.nowMs()) throw new ApiError('unauthenticated', 'the session has ended')
      const caller = await (content.kind === 'person-session'
        ? people.recognise(content.person, address)
        : callers.authenticate(content.token, address))
      return { ...caller, untilMs: content.untilMs }
    }
  }
}

const kinds: readonly unknown[] = ['browser-session', 'person-session'] satisfies Content['kind'][]

const open = async (sealer: Sealer, sealed: string): Promise<Content | undefined> => {
  try {
    const content = JSON.parse(await sealer.open(sealed)) as Partial<Content>
    return kinds.includes(content.kind) ? (content as Content) : undefined
  } catch {
    return undefined
  }
}
