// Who asks from a browser? Signing in turns a token into a cookie that only this controller can read: the token and
// an end, sealed. Nothing of it is stored: a restart ends no session, and a revoked token ends it with the next
// request. How the cookie travels is the HTTP edge's business.
import { ApiError } from '../api/errors.ts'
import type { Clock, Sealer } from '../ports.ts'
import type { Callers } from './callers.ts'
import type { Caller } from './tokens.ts'

export type BrowserSessions = {
  /**
   * @param token an API token or an ID token
   * @returns the value of the cookie, base64url and dots
   * @throws ApiError as `Callers.authenticate`
   */
  begin(token: string, address: string): Promise<{ sealed: string; caller: Caller; untilMs: number }>
  /** @throws ApiError `unauthenticated`, and as `Callers.authenticate` */
  authenticate(sealed: string, address: string): Promise<Caller>
}

/** A working day: whoever comes back the next morning signs in. */
export const sessionMs = 12 * 3_600_000

/** What is sealed is told apart from what else is sealed under that key. */
type Content = { kind: 'browser-session'; token: string; untilMs: number }

export const createBrowserSessions = (ports: {
  callers: Pick<Callers, 'authenticate'>
  sealer: Sealer
  clock: Clock
}): BrowserSessions => {
  const { callers, sealer, clock } = ports
  return {
    begin: async (token, address) => {
      const caller = await callers.authenticate(token, address)
      const untilMs = clock.nowMs() + sessionMs
      const content: Content = { kind: 'browser-session', token, untilMs }
      return { sealed: await sealer.seal(JSON.stringify(content)), caller, untilMs }
    },
    authenticate: async (sealed, address) => {
      const content = await open(sealer, sealed)
      if (content === undefined)
        throw new ApiError('unauthenticated', 'the session is none of this controller')
      if (content.untilMs <= clock.nowMs()) throw new ApiError('unauthenticated', 'the session has ended')
      return callers.authenticate(content.token, address)
    }
  }
}

const open = async (sealer: Sealer, sealed: string): Promise<Content | undefined> => {
  try {
    const content = JSON.parse(await sealer.open(sealed)) as Partial<Content>
    return content.kind === 'browser-session' ? (content as Content) : undefined
  } catch {
    return undefined
  }
}
