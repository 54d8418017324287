// Whether a caller with an ID token may go on: what a stream asks as long as it lasts.
import { generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { createIdTokens } from '../../../../packages/controller/src/engine/id-tokens.ts'
import type { IssuerRow, Store } from '../../../../packages/controller/src/ports.ts'

t.test('a stream outlives its token, and neither its age nor what it was allowed by', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const url = 'https://ci.example.com'
  const ci = (allow: string[], more: Partial<IssuerRow> = {}): IssuerRow => ({
    ...{ name: 'ci', url, audience: 'ins', maxAgeMs: 3_600_000, setAtMs: 0, setBy: 'admin' },
    rules: [{ claims: { sub: 'build' }, allow }],
    ...more
  })
  let rows = [ci(['deploy:staging/api'])]
  let nowMs = 1_800_000_000_000
  const idTokens = createIdTokens({
    store: { issuers: async () => rows } as unknown as Store,
    clock: {
      nowMs: () => nowMs,
      at: () => {
        throw new Error('not prepared')
      }
    },
    issuerKeys: { of: () => async () => publicKey }
  })
  const token = await new SignJWT({ iss: url, sub: 'build', aud: 'ins' })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuedAt(nowMs / 1000)
    .setExpirationTime(nowMs / 1000 + 300)
    .sign(privateKey)
  const caller = await idTokens.authenticate(token, '192.0.2.1')
  nowMs += 600_000
  await t.rejects(idTokens.authenticate(token, '192.0.2.1'), { code: 'unauthenticated', message: /expired/ })
  t.ok(await idTokens.isGood(caller), 'past its end')
  for (const [name, changed] of Object.entries({
    removed: [],
    'of another audience': [ci(['deploy:staging/api'], { audience: 'other' })],
    narrowed: [ci(['read:staging/api'])]
  })) {
    rows = changed
    t.notOk(await idTokens.isGood(caller), name)
  }
  rows = [ci(['read:staging/api', 'deploy:staging/api'])]
  t.ok(await idTokens.isGood(caller), 'allowed more than before')
  nowMs += 3_000_001
  t.notOk(await idTokens.isGood(caller), 'older than the issuer lets tokens become')
})
