// Credentials on their way to an agent: what opens, for what, and that the longest fit.
import { readFileSync } from 'node:fs'
import {
  type CommandId,
  generateEncryptionKey,
  importDecryptionKey,
  limits,
  openRegistryLogin,
  parseRegistryName,
  privateEncryptionJwk,
  registryLogin,
  registryOf,
  sealRegistryLogin
} from '@longshore/protocol'
import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import * as z from 'zod'

const file = z
  .object({
    keys: z.object({ agentEncryption: privateEncryptionJwk }),
    login: registryLogin,
    vectors: z.array(z.object({ name: z.string(), jwe: z.string(), code: z.string().nullable() }))
  })
  .parse(JSON.parse(readFileSync(new URL('../../vectors/logins.json', import.meta.url), 'utf8')))

t.test('gives every vector of logins.json its code, and no error tells what is inside', async (t) => {
  const key = await importDecryptionKey(file.keys.agentEncryption)
  const { command, registry, password } = file.login
  for (const { name, jwe, code } of file.vectors) {
    const opened = openRegistryLogin(jwe, key, { command, registry })
    if (code === null) t.match(await opened, { command, registry, password }, name)
    else {
      const error = await opened.then(
        () => undefined,
        (reason: unknown) => reason
      )
      t.match(error, { code }, name)
      t.notMatch(String(error), password, name)
    }
  }
})

t.test('what is sealed opens for its agent alone, and differs each time', async (t) => {
  const [agent, other] = [await generateEncryptionKey(), await generateEncryptionKey()]
  const { login } = file
  const [jwe, again] = [
    await sealRegistryLogin(login, agent.publicJwk),
    await sealRegistryLogin(login, agent.publicJwk)
  ]
  t.not(jwe, again)
  t.match(decodeProtectedHeader(jwe), { alg: 'ECDH-ES', enc: 'A256GCM', typ: 'longshore-login+jwe' })
  t.same(await openRegistryLogin(jwe, await importDecryptionKey(agent.privateJwk), login), login)
  const stranger = await importDecryptionKey(other.privateJwk)
  await t.rejects(openRegistryLogin(jwe, stranger, login), { code: 'frame-malformed' })
  const command = 'cmd_00000000000000000001' as CommandId
  const opener = await importDecryptionKey(agent.privateJwk)
  await t.rejects(openRegistryLogin(jwe, opener, { ...login, command }), { code: 'audience-mismatch' })
})

t.test('the longest credentials fit into what is sent', async (t) => {
  const { publicJwk } = await generateEncryptionKey()
  const longest = {
    ...file.login,
    registry: 'r'.repeat(limits.maxRegistryNameChars),
    username: '"'.repeat(limits.maxUserNameBytes),
    password: '"'.repeat(limits.maxPasswordBytes)
  }
  t.ok((await sealRegistryLogin(longest, publicJwk)).length <= limits.maxCredentialChars)
})

t.test('a registry has one name, however it is written', async (t) => {
  for (const hub of ['api', 'team/api', 'docker.io/api', 'index.docker.io/team/api'])
    t.equal(registryOf(hub), 'docker.io', hub)
  t.equal(registryOf('Registry.example.com:5000/team/api'), 'registry.example.com:5000')
  t.equal(registryOf('localhost/api'), 'localhost')
  for (const hub of ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'https://index.docker.io/v1/'])
    t.equal(parseRegistryName(hub), 'docker.io', hub)
  t.equal(parseRegistryName('https://[::1]:5000/'), '[::1]:5000')
  for (const text of ['', 'api', 'a.b/c', 'user:pw@a.b', 'a b.c', 'https://'])
    t.equal(parseRegistryName(text), undefined, text)
})
