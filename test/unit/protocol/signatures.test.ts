// Keys, signatures, key chains and tokens: what is accepted, and with which code the rest is refused.
import {
  type AssertionClaims,
  assertionClaims,
  checkApiToken,
  checkAssertion,
  checkJoinToken,
  clockOffsetOf,
  depthOf,
  enrolAnswer,
  generateEncryptionKey,
  generateSigningKey,
  type InstallationId,
  importSigningKey,
  importVerifyKey,
  installationId,
  joinClaims,
  type KeyAnnouncement,
  newNonce,
  ProtocolError,
  readUnverified,
  type SigningKey,
  sessionIdOf,
  signJws,
  thumbprintOf,
  verifyEnrolAnswer,
  verifyJws,
  verifyKeyChain
} from '@longshore/protocol'
import fc from 'fast-check'
import { CompactSign, compactVerify } from 'jose'
import t from 'tap'
import * as z from 'zod'
import { samplePayloads, testKeys } from '../../vectors/samples.ts'

const controller = await importSigningKey(testKeys.controller)
const verifyKey = await importVerifyKey(controller.publicJwk)
const keyOf = (kid: string) => (kid === controller.kid ? verifyKey : undefined)
const payloads = samplePayloads(controller.kid)
const installation = installationId.parse(payloads.join.installation)
const elsewhere = installationId.parse(`ins_${'0'.repeat(20)}`)
const anything = z.looseObject({})

const codeOf = async (work: () => unknown): Promise<string | null> => {
  try {
    await work()
    return null
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}

t.test('thumbprint, nonce and session id are those of their RFCs', async (t) => {
  // RFC 8037 appendix A.3
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' } as const
  t.equal(await thumbprintOf(jwk), 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  t.equal(newNonce(new Uint8Array(16)), 'A'.repeat(22))
  t.throws(() => newNonce(new Uint8Array(15)), RangeError)
  t.not(await sessionIdOf('a', 'b'), await sessionIdOf('b', 'a'))
})

t.test('a key is taken in one spelling only, and a private one never in place of a public one', async (t) => {
  const { publicJwk } = controller
  t.equal(await codeOf(() => importVerifyKey(testKeys.controller)), 'frame-malformed')
  t.equal(
    await codeOf(() => importVerifyKey({ ...publicJwk, x: publicJwk.x.replace(/w$/, 'x') })),
    'frame-malformed'
  )
  t.equal(await codeOf(() => importVerifyKey({ ...publicJwk, crv: 'X25519' })), 'frame-malformed')
  t.equal(await codeOf(() => importSigningKey(publicJwk)), 'frame-malformed')
  const made = await generateSigningKey()
  t.equal((await importSigningKey(made.privateJwk)).kid, made.key.kid)
  const encryption = await generateEncryptionKey()
  t.equal(encryption.publicJwk.crv, 'X25519')
  t.notOk('d' in encryption.publicJwk)
})

t.test('jose verifies our frames, and we verify frames that jose signed', async (t) => {
  const jws = await signJws('frame', payloads.frame, controller)
  const { payload, protectedHeader } = await compactVerify(jws, verifyKey.publicKey)
  t.same(JSON.parse(new TextDecoder().decode(payload)), payloads.frame)
  t.same(protectedHeader, { alg: 'EdDSA', typ: 'longshore-frame+jws', kid: controller.kid })
  const theirs = await new CompactSign(new TextEncoder().encode(JSON.stringify(payloads.frame)))
    .setProtectedHeader(protectedHeader)
    .sign(controller.privateKey)
  t.equal(theirs, jws)
  t.same(await verifyJws('frame', theirs, keyOf, anything), payloads.frame)
})

t.test('a payload too large for its kind is not signed', async (t) => {
  const large = { pad: 'x'.repeat(9000) }
  t.equal(await codeOf(() => signJws('join', large, controller)), 'frame-too-large')
  t.equal(await codeOf(() => signJws('command', large, controller)), null)
})

t.test('whatever arrives, nothing but a ProtocolError is thrown', async () => {
  const jws = await signJws('frame', payloads.frame, controller)
  const isRefused = async (text: string): Promise<boolean> =>
    (await codeOf(() => verifyJws('frame', text, keyOf, anything))) !== null
  const part = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.json().map((text) => btoa(encodeURIComponent(text)))
  )
  await fc.assert(
    fc.asyncProperty(fc.tuple(part, part, part), (parts) => isRefused(parts.join('.'))),
    { numRuns: 100 }
  )
  await fc.assert(
    fc.asyncProperty(fc.nat(jws.length - 88), fc.constantFrom('A', '.', '!', '_', '\u00e4'), (at, char) => {
      const changed = jws.slice(0, at) + char + jws.slice(at + 1)
      return changed === jws ? Promise.resolve(true) : isRefused(changed)
    }),
    { numRuns: 100 }
  )
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const signed = await new CompactSign(bytes)
        .setProtectedHeader({ alg: 'EdDSA', typ: 'longshore-join+jws', kid: controller.kid })
        .sign(controller.privateKey)
      return (await codeOf(() => verifyJws('join', signed, keyOf, joinClaims))) === 'frame-malformed'
    }),
    { numRuns: 50 }
  )
})

t.test('the depth of a JSON text is that of its value, whatever its strings hold', (t) => {
  const depth = (value: unknown): number =>
    typeof value !== 'object' || value === null ? 0 : 1 + Math.max(0, ...Object.values(value).map(depth))
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: fc.constantFrom('"', '\\', '[', '{', ']', 'a') }), (value) => {
      return depthOf(JSON.stringify(value)) === depth(JSON.parse(JSON.stringify(value)))
    })
  )
  t.end()
})

const announce = (
  number: number,
  key: SigningKey,
  signer: SigningKey | null,
  of: InstallationId = installation
): Promise<string> => {
  const claims: KeyAnnouncement = {
    installation: of,
    number,
    key: key.publicJwk,
    previous: signer?.kid ?? null,
    announcedAtMs: 0
  }
  return signJws('key', claims, signer ?? key)
}

t.test('a key chain is followed from the trusted key on, and any broken link is refused', async (t) => {
  const [one, two, three, thief] = await Promise.all(
    [1, 2, 3, 4].map(async () => (await generateSigningKey()).key)
  )
  if (!one || !two || !three || !thief) throw new RangeError('no keys')
  const chain = [await announce(1, one, null), await announce(2, two, one), await announce(3, three, two)]
  const kids = async (links: string[], trusted: SigningKey, of?: InstallationId) =>
    (await verifyKeyChain(links, trusted.kid, of)).map((key) => key.kid)
  t.same(await kids(chain, one, installation), [one.kid, two.kid, three.kid])
  t.same(await kids(chain, two), [two.kid, three.kid])
  const refused: [string, string[], SigningKey, InstallationId?][] = [
    ['the trusted key is missing', chain, thief],
    ['it is empty', [], one],
    ['the order is wrong', chain.toReversed(), one],
    ['a link is missing', chain.slice(0, 1).concat(chain.slice(2)), one],
    ['the first link is missing', chain.slice(1), two],
    ['a link is signed by another', [...chain, await announce(4, thief, thief)], one],
    ['it is of another installation', chain, one, elsewhere],
    ['it changes the installation', [...chain, await announce(4, thief, three, elsewhere)], one],
    ['a link is no JWS', [...chain, 'x'], one],
    ['it is too long', Array(65).fill(chain[0]), one]
  ]
  for (const [name, links, trusted, of] of refused) {
    t.equal(await codeOf(() => verifyKeyChain(links, trusted.kid, of)), 'controller-untrusted', name)
  }
})

t.test(
  'an enrolment answer is believed only from the current key and for the nonce that was sent',
  async (t) => {
    const other = (await generateSigningKey()).key
    const answer = enrolAnswer.parse({
      ...payloads['enrol-answer'],
      keyChain: [await announce(1, controller, null)]
    })
    const asked = { trusted: controller.kid, nonce: answer.nonce, installation }
    const good = await signJws('enrol-answer', answer, controller)
    const verified = await verifyEnrolAnswer(good, asked)
    t.same(verified.answer, answer)
    t.equal(verified.keys.at(-1)?.kid, controller.kid)
    const forged = await signJws('enrol-answer', answer, other)
    t.equal(await codeOf(() => verifyEnrolAnswer(forged, asked)), 'key-unknown')
    t.equal(
      await codeOf(() => verifyEnrolAnswer(good, { ...asked, nonce: 'B'.repeat(22) })),
      'nonce-mismatch'
    )
    t.equal(
      await codeOf(() => verifyEnrolAnswer(good, { ...asked, trusted: other.kid })),
      'controller-untrusted'
    )
  }
)

t.test('tokens are refused for another installation and once they have expired', async (t) => {
  const join = readUnverified('join', await signJws('join', payloads.join, controller), joinClaims)
  const nowMs = join.issuedAtMs
  t.equal(await codeOf(() => checkJoinToken(join, { installation, nowMs })), null)
  t.equal(await codeOf(() => checkJoinToken(join, { installation: elsewhere, nowMs })), 'audience-mismatch')
  t.equal(await codeOf(() => checkJoinToken(join, { installation, nowMs: join.expiresAtMs })), 'expired')
  const api = { ...join, name: 'jenkins' }
  t.equal(await codeOf(() => checkApiToken({ ...api, expiresAtMs: null }, { installation, nowMs })), null)
  t.equal(await codeOf(() => checkApiToken(api, { installation, nowMs: join.expiresAtMs })), 'expired')
  t.equal(await codeOf(() => checkApiToken(api, { installation: elsewhere, nowMs })), 'audience-mismatch')
})

t.test('an assertion is refused with the measured skew, once used, and under another key', async (t) => {
  const claims: AssertionClaims = assertionClaims.parse(payloads.assertion)
  const nowMs = claims.issuedAtMs
  type Now = Parameters<typeof checkAssertion>[1]
  const now: Now = { installation, kid: controller.kid, nowMs, hasSeen: () => false }
  const check = (changed: Partial<Now>) => codeOf(() => checkAssertion(claims, { ...now, ...changed }))
  t.equal(await check({}), null)
  t.equal(await check({ nowMs: nowMs + 300_000 }), null)
  t.equal(await check({ nowMs: nowMs + 300_001 }), 'clock-skew')
  t.equal(await check({ hasSeen: () => true }), 'replayed')
  t.equal(await check({ kid: 'x' }), 'key-unknown')
  t.equal(await check({ installation: elsewhere }), 'audience-mismatch')
  t.throws(
    () => checkAssertion(claims, { ...now, nowMs: nowMs - 412_000 }),
    /412 s ahead of the controller's/
  )
  t.equal(clockOffsetOf({ nowMs: 900, jti: claims.jti }, { jti: claims.jti, nowMs: 1000 }), -100)
  t.equal(await codeOf(() => clockOffsetOf({ nowMs: 1, jti: 'x' }, { jti: 'y', nowMs: 1 })), 'nonce-mismatch')
})
