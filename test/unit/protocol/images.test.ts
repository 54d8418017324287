// The pull token of an agent, and the name under which the image store keeps a repository.
import {
  agentId,
  artifactRepository,
  generateSigningKey,
  importVerifyKey,
  installationId,
  limits,
  ProtocolError,
  readPullTokenIssuer,
  signJws,
  signPullToken,
  verifyPullToken
} from '@longshore/protocol'
import t from 'tap'
import { parseImage } from '../../../packages/protocol/src/spec/parse-image.ts'

const nowMs = 1_800_000_000_500
const agent = agentId.parse('agt_0123456789abcdefghij')
const installation = installationId.parse('ins_0123456789abcdefghij')
const { key } = await generateSigningKey()
const { key: stranger } = await generateSigningKey()
const registered = { id: agent, key: await importVerifyKey(key.publicJwk) }

const codeOf = async (work: Promise<unknown>): Promise<string | null> =>
  work.then(
    () => null,
    (error: unknown) => {
      if (error instanceof ProtocolError) return error.code
      throw error
    }
  )

t.test('a pull token tells which agent asks, for five minutes', async (t) => {
  const token = await signPullToken({ agent, installation, nowMs }, key)
  t.equal(readPullTokenIssuer(token), agent)
  const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
  t.same(header, { alg: 'EdDSA', typ: 'longshore-pull+jwt', kid: key.kid })
  t.same(await verifyPullToken(token, registered, { installation, nowMs }), {
    iss: agent,
    aud: installation,
    iat: 1_800_000_000,
    exp: 1_800_000_300
  })
})

t.test('a pull token is refused', async (t) => {
  const { maxPullTokenMs, maxClockSkewMs } = limits
  const claims = { agent, installation, nowMs }
  const good = await signPullToken(claims, key)
  const verify = (token: string, now: { installation?: typeof installation; nowMs?: number } = {}) =>
    codeOf(verifyPullToken(token, registered, { installation, nowMs, ...now }))
  const other = installationId.parse('ins_00000000000000000000')
  t.equal(await verify(good, { installation: other }), 'audience-mismatch')
  t.equal(await verify(await signPullToken(claims, stranger)), 'key-unknown', "under a stranger's key")
  const another = agentId.parse('agt_00000000000000000000')
  t.equal(await verify(await signPullToken({ ...claims, agent: another }, key)), 'key-unknown')
  t.equal(await verify(good, { nowMs: nowMs + maxPullTokenMs + maxClockSkewMs }), 'expired')
  t.equal(await verify(good, { nowMs: nowMs + maxPullTokenMs }), null, 'not while clocks may differ so much')
  t.equal(await verify(good, { nowMs: nowMs - maxClockSkewMs - 1000 }), 'clock-skew')
  const long = await signPullToken({ ...claims, lifetimeMs: maxPullTokenMs + 1000 }, key)
  t.equal(await verify(long), 'expired', 'with a longer life than the limit')
  const api = { installation, id: 'tok_0123456789abcdefghij', name: 'a', issuedAtMs: 1, expiresAtMs: null }
  t.equal(await verify(await signJws('api', api, key)), 'type-refused', 'another kind of token')
})

const names: [repository: string, name: string][] = [
  ['nginx', 'docker.io/library/nginx'],
  ['library/nginx', 'docker.io/library/nginx'],
  ['docker.io/nginx', 'docker.io/library/nginx'],
  ['docker.io/library/nginx', 'docker.io/library/nginx'],
  ['index.docker.io/team/api', 'docker.io/team/api'],
  ['team/api', 'docker.io/team/api'],
  ['team_5000/api', 'docker.io/team_5000/api'],
  ['registry.example.com/team/api', 'registry.example.com/team/api'],
  ['Registry.Example.com/api', 'registry.example.com/api'],
  ['registry.example.com:5000/team/api', 'registry.example.com.port-5000/team/api'],
  ['localhost/api', 'localhost/api'],
  ['localhost:5000/api', 'localhost.port-5000/api'],
  ['127.0.0.1:5000/api', '127.0.0.1.port-5000/api'],
  ['[::1]:5000/api', 'ipv6.x--1x.port-5000/api'],
  ['[fe80::]/api', 'ipv6.xfe80--x/api'],
  ['a..b/api', 'a.b/api'],
  ['a.-b-.c/api', 'a.b.c/api']
]
// the grammar of the OCI Distribution Specification 1.1, section "Pulling manifests"
const ociName = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/
for (const [repository, name] of names) {
  t.test(`keeps ${repository} as ${name}`, async (t) => {
    t.equal(parseImage(repository).repository, repository)
    t.equal(artifactRepository(repository), name)
    t.equal(artifactRepository(name), name, 'mapped again it stays')
    t.match(name, ociName)
  })
}
