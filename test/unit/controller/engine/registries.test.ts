// Logins to registries: under which name they are kept, that they take each other's place, and where passwords stand.
import t from 'tap'
import { loginRegistry } from '../../../../packages/controller/src/api/schemas.ts'
import { createRegistries } from '../../../../packages/controller/src/engine/registries.ts'
import { jenkins } from './engine-scene.ts'
import { openNotices, sealer } from './notice-scene.ts'

const password = 'for-hosts-alone'
const open = async (t: Parameters<typeof openNotices>[0]) => {
  const { store, writer, clock } = await openNotices(t)
  const registries = createRegistries({ store, writer, clock, sealer })
  const login = (host: string, username = 'puller') =>
    registries.login(jenkins, loginRegistry.parse({ host, username, password }))
  return { store, registries, login }
}

t.test('a login takes the place of the former one, however the host is written', async (t) => {
  const { registries, login } = await open(t)
  await login('Registry.example.com:5000')
  await login('https://registry.example.com:5000/', 'other')
  await login('https://index.docker.io/v1/')
  await login('localhost')
  const listed = await registries.list()
  t.same(
    listed.map(({ host, username, setBy }) => [host, username, setBy]),
    [
      ['docker.io', 'puller', 'jenkins'],
      ['localhost', 'puller', 'jenkins'],
      ['registry.example.com:5000', 'other', 'jenkins']
    ]
  )
  await registries.logout(jenkins, 'index.docker.io')
  const known = ['localhost', 'registry.example.com:5000']
  await t.rejects(registries.logout(jenkins, 'docker.io'), { code: 'unknown-registry', extra: { known } })
})

t.test('what no image could name is no registry', async (t) => {
  const { login, registries } = await open(t)
  for (const host of ['team', 'registry.example.com/team', 'a b.c', 'user:pw@registry.example.com']) {
    await t.rejects(login(host), { code: 'invalid-request', message: /^(?!.*pw@)/ }, host)
  }
  t.same(await registries.list(), [])
})

t.test('a password stands in the sealed column and nowhere else', async (t) => {
  const { store, registries, login } = await open(t)
  const view = await login('registry.example.com')
  const row = await store.registryLogin('registry.example.com')
  t.same(JSON.parse(await sealer.open(row?.sealed ?? '')), { host: 'registry.example.com', password })
  const told = [view, await registries.list(), await store.audit({ limit: 10 }), { ...row, sealed: '' }]
  t.notMatch(JSON.stringify(told), /for-hosts-alone|sealed":"[^"]/)
  const wrong = loginRegistry.safeParse({ host: 'a.b', username: 'a:b', password: `${password}\n` })
  t.ok(wrong.error)
  t.notMatch(wrong.error?.message, /for-hosts-alone/)
})
