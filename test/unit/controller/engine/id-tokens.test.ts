// ID tokens over time: what a stream asks as long as it lasts, and keys that their issuer replaces.
import { generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { systemClock } from '../../../../packages/controller/src/adapters/clock/system-clock.ts'
import { createIssuerKeys } from '../../../../packages/controller/src/adapters/issuers/fetch-keys.ts'
import { createIdTokens } from '../../../../packages/controller/src/engine/id-tokens.ts'
import type { IssuerRow, Store } from '../../../../packages/controller/src/ports.ts'
import { startIssuer } from '../../../support/issuer.ts'

t.test('a stream outlives its token, and neither its age nor what it was allowed by', async (t) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const url = 'https://ci.example.com'
  const ci = (allow: string[], more: Partial<IssuerRow> = {}): IssuerRow => ({
    ...{ name: 'ci', url, audience: 'ins', maxAgeMs: 3_600_000, setAtMs: 0, setBy: 'admin', signIn: null },
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
    issuerKeys: { of: () => async () => publicKey, renew: async () => false }
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

t.test('an issuer may replace its key, under another name or the same one', async (t) => {
  const issuer = await startIssuer(t, { audience: 'ins', subject: 'build' })
  const row: IssuerRow = {
    ...{
      name: 'ci',
      url: issuer.url,
      audience: 'ins',
      maxAgeMs: 3_600_000,
      setAtMs: 0,
      setBy: 'admin',
      signIn: null
    },
    rules: [{ claims: { sub: 'build' }, allow: ['read:*/*'] }]
  }
  const open = (askAgainAfterMs: number) =>
    createIdTokens({
      store: { issuers: async () => [row] } as unknown as Store,
      clock: systemClock,
      issuerKeys: createIssuerKeys({ ca: null, waits: { askAgainAfterMs } })
    })
  const [soon, late] = [open(0), open(60_000)]
  const [{ kid } = { kid: undefined }] = issuer.keys().keys
  for (const idTokens of [soon, late]) await idTokens.authenticate(await issuer.token(), '192.0.2.1')
  for (const next of [undefined, kid, kid]) {
    await issuer.rotate(next)
    const token = await issuer.token()
    t.match(await soon.authenticate(token, '192.0.2.1'), { actor: { name: 'oidc:ci/build' } })
    await t.rejects(late.authenticate(token, '192.0.2.1'), { code: 'unauthenticated' }, 'asked a moment ago')
  }
  t.equal(issuer.keysAsked, 5)
  issuer.answer = (_path, response) => response.writeHead(500).end()
  const forged = `${(await issuer.token()).slice(0, -8)}AAAAAAAA`
  await t.rejects(soon.authenticate(forged, '192.0.2.1'), { code: 'issuer-unavailable' })
})
