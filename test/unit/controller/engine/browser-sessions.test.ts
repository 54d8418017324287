// Until when a session counts: for requests, and for streams that it opened.
import t from 'tap'
import type { Permission } from '../../../../packages/controller/src/api/schemas.ts'
import {
  createBrowserSessions,
  sessionMs
} from '../../../../packages/controller/src/engine/browser-sessions.ts'
import { createCallers } from '../../../../packages/controller/src/engine/callers.ts'
import type { Caller } from '../../../../packages/controller/src/engine/tokens.ts'
import { HandClock } from './engine-scene.ts'

const refuse = (): never => {
  throw new Error('not prepared')
}
const allow: readonly Permission[] = ['read:*/*']
const actor = { id: 'x', name: 'ops', address: '127.0.0.1' }
const byToken: Caller = { actor: { ...actor, kind: 'api-token' }, allow }
const person = { issuer: 'corp', readable: null, claims: { sub: '7', iat: 1 } }
const byIssuer: Caller = { actor: { ...actor, kind: 'id-token' }, allow, person }

t.test('a stream ends with the session that opened it, and one of a token does not', async (t) => {
  const clock = new HandClock()
  const people = { admit: async () => person, recognise: async () => byIssuer, isGood: async () => true }
  const tokens = { authenticate: async () => byToken, isGood: async () => true }
  const idTokens = { authenticate: refuse, verify: refuse, isGood: refuse }
  const callers = createCallers({ tokens, idTokens, people, clock })
  const sealer = { seal: async (text: string) => text, open: async (text: string) => text }
  const sessions = createBrowserSessions({ callers, people, sealer, clock })
  const begun = [await sessions.begin('token', ''), await sessions.beginFor(person)]
  const recognised = await Promise.all(begun.map(({ sealed }) => sessions.authenticate(sealed, '')))
  const areGood = () => Promise.all(recognised.map(callers.isGood))
  clock.move(sessionMs - 1)
  t.same(await areGood(), [true, true])
  clock.move(1)
  t.same(await areGood(), [false, false])
  for (const { sealed } of begun)
    await t.rejects(sessions.authenticate(sealed, ''), { code: 'unauthenticated' })
  t.ok(await callers.isGood(byToken), 'asked for without a session')
})
