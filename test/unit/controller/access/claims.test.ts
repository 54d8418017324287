// What the claims of an ID token allow, and which URLs are issuers.
import t from 'tap'
import { setIssuer } from '../../../../packages/controller/src/api/schemas.ts'
import {
  type IdClaims,
  judgeClaims,
  matchesPattern
} from '../../../../packages/controller/src/core/access/claims.ts'
import {
  discoveryUrlOf,
  refusalOfBaseUrl,
  refusalOfEndpoint
} from '../../../../packages/controller/src/core/access/issuer-url.ts'

const nowMs = 1_800_000_000_000
const claims: IdClaims = {
  sub: 'repo:acme/api:ref:refs/heads/main',
  aud: ['other', 'ins'],
  iat: nowMs / 1000 - 10,
  ref: 'refs/heads/main',
  ref_protected: true,
  run: 7,
  groups: ['dev', 'ops'],
  nested: { team: 'ops' },
  nothing: null
}
const issuerOf = (...rules: { claims: Record<string, string>; allow: string[] }[]) => ({
  name: 'ci',
  audience: 'ins',
  maxAgeMs: 3_600_000,
  rules
})
const rule = (patterns: Record<string, string>, ...allow: string[]) => ({ claims: patterns, allow })

t.test('a pattern stands for the whole value, and a star for any run of characters', async (t) => {
  const table: [pattern: string, value: string, isMatch: boolean][] = [
    ['main', 'main', true],
    ['main', 'main2', false],
    ['main', 'Main', false],
    ['main', '', false],
    ['refs/heads/*', 'refs/heads/a/b', true],
    ['refs/heads/*', 'refs/heads/', true],
    ['refs/heads/*', 'x/refs/heads/a', false],
    ['*/api', 'acme/api', true],
    ['*/api', 'acme/api-evil', false],
    ['acme/*:main', 'acme/api:main', true],
    ['a*a', 'a', false],
    ['a*b*b', 'ab', false],
    ['a*b*b', 'abb', true],
    ['a*bc*c', 'abc', false],
    ['a**c', 'ac', true],
    ['a.c', 'abc', false],
    ['[a]*', '[a]x', true],
    ['*a*b*', 'xxbxa', false],
    ['*a*b*', 'xaxbx', true]
  ]
  for (const [pattern, value, isMatch] of table)
    t.equal(matchesPattern(pattern, value), isMatch, `${pattern} ${value}`)
  const slow = `${'*a'.repeat(200)}b`
  t.notOk(matchesPattern(slow, 'a'.repeat(8000)), 'no run of stars takes long')
})

t.test('a rule fits when each of its claims does, and several rules add up', async (t) => {
  const allowed = (...rules: ReturnType<typeof rule>[]) => judgeClaims([issuerOf(...rules)], claims, nowMs)
  const main = rule({ sub: 'repo:acme/api:*', ref: 'refs/heads/main' }, 'deploy:staging/api')
  t.same(allowed(main), { kind: 'allowed', issuer: 'ci', allow: ['deploy:staging/api'] })
  const both = allowed(
    main,
    rule({ ref_protected: 'true', run: '7' }, 'push-image:*/*', 'deploy:staging/api')
  )
  t.same(both, { kind: 'allowed', issuer: 'ci', allow: ['deploy:staging/api', 'push-image:*/*'] })
  t.match(
    allowed(rule({ groups: 'ops' }, 'read:*/*')),
    { kind: 'allowed' },
    'one member of an array is enough'
  )
  for (const patterns of [
    { sub: 'repo:acme/api:*', ref: 'refs/heads/next' },
    { groups: 'dev,ops' },
    { nested: '[object Object]' },
    { nothing: 'null' },
    { missing: 'undefined' },
    { constructor: '*function*' }
  ]) {
    t.match(allowed(rule(patterns, 'read:*/*')), { kind: 'no-rule' }, JSON.stringify(patterns))
  }
})

t.test('a refusal names the claims that do not fit, and neither patterns nor values', async (t) => {
  const secret = rule({ ref: 'refs/heads/secret', environment: 'hidden' }, 'deploy:production/api')
  t.same(judgeClaims([issuerOf(secret, rule({ run: '8' }, 'read:*/*'))], claims, nowMs), {
    kind: 'no-rule',
    detail:
      'no rule of issuer ci fits: rule 1 (ref is another, environment is missing), rule 2 (run is another)'
  })
})

t.test(
  'a token for another audience, too old or of the future is not valid, whatever the rules',
  async (t) => {
    const everything = issuerOf(rule({ sub: 'repo:*' }, '*:*/*'))
    const judge = (change: Partial<IdClaims>, issuers = [everything]) =>
      judgeClaims(issuers, { ...claims, ...change } as IdClaims, nowMs)
    t.match(judge({ aud: 'ins2' }), { kind: 'not-valid', detail: /audience/ })
    t.match(judge({ aud: undefined }), { kind: 'not-valid', detail: /audience/ })
    t.match(judge({ iat: nowMs / 1000 - 3601 }), { kind: 'not-valid', detail: /older/ })
    t.match(judge({ iat: nowMs / 1000 + 61 }), { kind: 'not-valid', detail: /future/ })
    t.match(judge({ iat: nowMs / 1000 + 59 }), { kind: 'allowed' })
    const other = { ...everything, name: 'other', audience: 'elsewhere' }
    t.match(
      judge({}, [other, everything]),
      { kind: 'allowed', issuer: 'ci' },
      'of several, those that it is meant for'
    )
  }
)

t.test('an issuer is asked over https, or over http on loopback', async (t) => {
  for (const fine of ['https://gitlab.com', 'https://j.example.com/oidc', 'http://127.0.0.1:8080/oidc'])
    t.equal(refusalOfBaseUrl(fine), undefined, fine)
  for (const wrong of [
    'gitlab.com',
    'http://jenkins.example.com/oidc',
    'http://127.example.com/',
    'https://user:pw@j.example.com',
    'https://j.example.com/?a=b',
    'https://j.example.com/#',
    'ftp://127.0.0.1/'
  ])
    t.type(refusalOfBaseUrl(wrong), 'string', wrong)
  t.equal(
    discoveryUrlOf('https://j.example.com/oidc/').href,
    'https://j.example.com/oidc/.well-known/openid-configuration'
  )
  t.type(refusalOfEndpoint('https://j.example.com', 'jwks_uri', 'http://127.0.0.1/jwks'), 'string')
  t.type(refusalOfEndpoint('http://127.0.0.1:1', 'jwks_uri', 'http://10.0.0.1/jwks'), 'string')
  t.equal(refusalOfEndpoint('http://127.0.0.1:1', 'jwks_uri', 'https://other.example.com/jwks'), undefined)
})

t.test('rules that would let everybody in are not taken', async (t) => {
  const takes = (patterns: Record<string, string>) =>
    setIssuer.safeParse({ url: 'https://x', rules: [rule(patterns, 'read:*/*')] }).success
  t.ok(takes({ sub: 'a*' }))
  for (const patterns of [{}, { sub: '*' }, { sub: '**' }, { sub: '' }, { 'a b': 'x' }])
    t.notOk(takes(patterns), JSON.stringify(patterns))
  t.notOk(setIssuer.safeParse({ url: 'https://x', rules: [] }).success)
})
