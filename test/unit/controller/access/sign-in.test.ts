// What a session keeps of a person's claims, and how people are called.
import t from 'tap'
import { type IdClaims, judgeClaims } from '../../../../packages/controller/src/core/access/claims.ts'
import { callbackOf } from '../../../../packages/controller/src/core/access/issuer-url.ts'
import {
  keepClaims,
  lacksClaims,
  nameOf,
  readableOf
} from '../../../../packages/controller/src/core/access/sign-in.ts'

const claims: IdClaims = {
  iss: 'https://corp.example.com',
  aud: 'longshore',
  sub: '7',
  iat: 1_800_000_000,
  groups: ['staff', '/ops/eu', '/ops/us'],
  level: 3,
  email: 'ada@example.com',
  picture: 'x'.repeat(5000)
}
const rule = (patterns: Record<string, string>) => ({ claims: patterns, allow: ['read:*/*' as const] })

t.test('a session keeps what some rule looks for, and is judged by it as by all of it', async (t) => {
  const rules = [rule({ groups: '/ops/*', level: '3' }), rule({ groups: 'admins' }), rule({ sub: '8' })]
  const kept = keepClaims(rules, claims)
  t.same(kept, {
    iss: claims['iss'],
    aud: 'longshore',
    sub: '7',
    iat: 1_800_000_000,
    groups: ['/ops/eu', '/ops/us'],
    level: ['3']
  })
  const judge = (of: IdClaims) =>
    judgeClaims([{ name: 'corp', audience: 'longshore', maxAgeMs: 1000, rules }], of, 1_800_000_000_000)
  t.same(judge(kept), judge(claims))
  t.match(judge(keepClaims([rule({ level: '4' })], claims)), { kind: 'no-rule' })
  const odd = keepClaims([rule(JSON.parse('{"__proto__":"*x"}'))], claims)
  t.equal(Object.getPrototypeOf(odd), Object.prototype)
})

t.test('a claim that a rule looks for and nobody said is asked for', async (t) => {
  t.notOk(lacksClaims([rule({ groups: 'admins' })], claims), 'said, and another one')
  t.ok(lacksClaims([rule({ groups: 'admins' }), rule({ department: 'it' })], claims))
})

t.test('a person is called by issuer and subject first, then as people read it', async (t) => {
  const called = (change: object) => readableOf({ ...claims, email: undefined, ...change })
  t.equal(called({ email: 'ada@example.com' }), 'ada@example.com')
  t.equal(called({ email: 'x@example.com', email_verified: false, preferred_username: 'ada' }), 'ada')
  t.equal(called({ preferred_username: 'Åda Løvelace' }), 'Åda Løvelace')
  for (const hiding of ['a\u202eb', 'a\nb', 'a\u200bb', 'admin (tok_1)', 'x'.repeat(101), '', 7, ['a']])
    t.equal(called({ email: hiding }), null, JSON.stringify(hiding))
  t.equal(nameOf('oidc:corp/7', 'admin'), 'oidc:corp/7 (admin)')
  t.equal(nameOf('oidc:corp/7', null), 'oidc:corp/7')
})

t.test('an issuer sends people back to an address of its own below the page', async (t) => {
  t.equal(callbackOf('https://o.example.com', 'corp'), 'https://o.example.com/v1/sign-in/corp/callback')
  t.equal(callbackOf('https://o.example.com/x/', 'a'), 'https://o.example.com/x/v1/sign-in/a/callback')
  t.equal(callbackOf('https://o.example.com/x', 'a'), 'https://o.example.com/x/v1/sign-in/a/callback')
})
