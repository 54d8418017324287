// Logins to registries: under which name they are kept, that they take each other's place, and where passwords stand.
import {
  agentCapabilities,
  type CommandId,
  generateEncryptionKey,
  generateSigningKey,
  importDecryptionKey,
  openRegistryLogin,
  signJws
} from '@longshore/protocol'
import t from 'tap'
import { loginRegistry } from '../../../../packages/controller/src/api/schemas.ts'
import {
  createHelpers,
  failureKeptMs,
  keptMs
} from '../../../../packages/controller/src/engine/ask-helpers.ts'
import { createRegistries } from '../../../../packages/controller/src/engine/registries.ts'
import { createRegistryCredentials } from '../../../../packages/controller/src/engine/registry-credentials.ts'
import { type CredentialHelper, HelperError } from '../../../../packages/controller/src/ports.ts'
import { agentOf } from '../core/deployment-scenes.ts'
import { jenkins, openScene, requestFor } from './engine-scene.ts'
import { openNotices, sealer } from './notice-scene.ts'
import { deploying } from './scene-hosts.ts'

const password = 'for-hosts-alone'
type Asked = { program: string; server: string }
/** Answers after a turn, with a new token each time; `broken` fails. */
const helperOf = (asked: Asked[]): CredentialHelper => ({
  get: async (program, server) => {
    asked.push({ program, server })
    await new Promise(setImmediate)
    if (program.endsWith('broken')) throw new HelperError(`${program} failed for ${server} (exit code 1)`)
    if (program.endsWith('huge')) return { username: 'AWS', password: '\0'.repeat(8000) }
    return { username: 'AWS', password: `token-${asked.length}` }
  }
})

const open = async (t: Parameters<typeof openNotices>[0]) => {
  const { store, writer, clock } = await openNotices(t, ['a'])
  const asked: Asked[] = []
  const helpers = createHelpers(helperOf(asked), clock)
  const registries = createRegistries({ store, writer, clock, sealer, helpers })
  const login = (host: string, username = 'puller') =>
    registries.login(jenkins, loginRegistry.parse({ host, username, password }))
  const useHelper = (host: string, helper: string) =>
    registries.login(jenkins, loginRegistry.parse({ host, helper }))
  return { store, clock, registries, helpers, asked, login, useHelper }
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

const command = 'cmd_00000000000000000001' as CommandId

const openCredentials = async (t: Parameters<typeof openNotices>[0]) => {
  const scene = await open(t)
  const agent = await generateEncryptionKey()
  await scene.store.transaction(async (tx) => {
    const row = await tx.agent(agentOf('a'))
    if (row !== undefined) await tx.putAgent({ ...row, encryptionJwk: agent.publicJwk })
  })
  const { key: signing } = await generateSigningKey()
  const told: string[] = []
  const tell = (fields: object, text: string) => void told.push(JSON.stringify([fields, text]))
  const log = { debug: tell, info: tell, warn: tell, error: tell }
  const ports = { store: scene.store, sealer, helpers: scene.helpers, log }
  const forBody = async (body: object, more: Partial<typeof ports> = {}) => {
    const jws = await signJws('command', { id: command, body }, signing)
    return createRegistryCredentials({ ...ports, ...more }).forCommand(agentOf('a'), jws)
  }
  const opener = await importDecryptionKey(agent.privateJwk)
  const read = (jwe: string | null | undefined, registry: string) =>
    openRegistryLogin(jwe ?? '', opener, { command, registry })
  return { ...scene, forBody, read, told }
}

const image = { repository: 'registry.example.com/team/api' }
const mirror = { kind: 'mirror', at: 'Mirror.example.com:5000/hub' }

t.test('a command that asks registries gets what there is of them, for its agent alone', async (t) => {
  const { login, forBody, read, told } = await openCredentials(t)
  t.same(await forBody({ kind: 'stage', image }), [], 'nobody logged in')
  await login('registry.example.com')
  await login('mirror.example.com:5000', 'mirror-puller')
  await login('docker.io', 'hub-puller')
  const [one, ...others] = await forBody({ kind: 'stage', image })
  t.same(others, [])
  t.match(one, { registry: 'registry.example.com', problem: null })
  t.same(await read(one?.jwe, 'registry.example.com'), {
    command,
    registry: 'registry.example.com',
    username: 'puller',
    password
  })
  const sources = [mirror, { kind: 'artifact' }, { kind: 'registry' }]
  const both = await forBody({ kind: 'resolve', image, sources })
  t.same(
    both.map(({ registry }) => registry),
    ['mirror.example.com:5000', 'registry.example.com']
  )
  t.match(await forBody({ kind: 'resolve', image: { repository: 'api' } }), [{ registry: 'docker.io' }])
  for (const kind of ['release', 'plan', 'rehearse', 'run-once'])
    t.same(await forBody({ kind, image }), [], kind)
  t.same(await forBody({ kind: 'settle', release: 7 }), [])
  t.same(told, [])
})

t.test(
  'credentials that cannot be opened are told without what is secret, and hinder no command',
  async (t) => {
    const { login, forBody, told, store } = await openCredentials(t)
    await login('registry.example.com')
    const broken = {
      ...sealer,
      open: async () => {
        throw new Error(`near ${password}`)
      }
    }
    const [one] = await forBody({ kind: 'stage', image }, { sealer: broken })
    t.match(one, { registry: 'registry.example.com', jwe: null, problem: /log in again/ })
    await store.transaction(async (tx) => {
      const row = await tx.registryLogin('registry.example.com')
      if (row !== undefined) await tx.putRegistryLogin({ ...row, host: 'docker.io' })
    })
    const [moved] = await forBody({ kind: 'stage', image: { repository: 'api' } })
    t.match(moved, { registry: 'docker.io', jwe: null, problem: /log in again/ }, 'sealed for another host')
    t.same(await forBody({ kind: 'stage', image: 'nonsense' }), [])
    t.equal(told.length, 3)
    t.notMatch(told.join(), password)
  }
)

t.test('a helper is asked before it is taken, once for many hosts, and anew after a while', async (t) => {
  const { useHelper, registries, forBody, read, asked, clock, store } = await openCredentials(t)
  const helper = 'docker-credential-ecr-login'
  t.match(await useHelper('docker.io', helper), { host: 'docker.io', username: null, helper })
  t.same(asked, [{ program: helper, server: 'https://index.docker.io/v1/' }])
  const stage = { kind: 'stage', image: { repository: 'team/api' } }
  for (const [one] of await Promise.all([forBody(stage), forBody(stage)]))
    t.match(await read(one?.jwe, 'docker.io'), { username: 'AWS', password: 'token-1' })
  clock.move(keptMs)
  const [later] = await forBody(stage)
  t.match(await read(later?.jwe, 'docker.io'), { password: 'token-2' })
  t.equal(asked.length, 2)
  t.notMatch(JSON.stringify([await registries.list(), await store.audit({ limit: 9 })]), 'token-')
})

t.test('a helper that gives nothing is refused at the login, and told to the host later', async (t) => {
  const { useHelper, registries, forBody, told, store, asked, clock } = await openCredentials(t)
  const broken = 'docker-credential-broken'
  await t.rejects(useHelper('docker.io', broken), {
    code: 'helper-failed',
    message: /broken failed.*exit code 1/
  })
  t.same(await registries.list(), [])
  for (const helper of ['/bin/sh', 'docker-credential-../x', 'sh', 'docker-credential-a b'])
    t.notOk(loginRegistry.safeParse({ host: 'docker.io', helper }).success, helper)
  t.notOk(
    loginRegistry.safeParse({ host: 'docker.io', helper: broken, username: 'u', password: 'p' }).success
  )
  t.notOk(loginRegistry.safeParse({ host: 'docker.io', username: 'u' }).success)
  await useHelper('docker.io', 'docker-credential-huge')
  const stage = { kind: 'stage', image: { repository: 'api' } }
  t.match(await forBody(stage), [{ jwe: null, problem: /too long/ }])
  await store.transaction(async (tx) => {
    const row = await tx.registryLogin('docker.io')
    if (row !== undefined) await tx.putRegistryLogin({ ...row, helper: broken })
  })
  const problem = /^on the controller, docker-credential-broken failed/
  const counts: number[] = []
  for (const waitMs of [0, 0, failureKeptMs, 0]) {
    clock.move(waitMs)
    t.match(await forBody(stage), [{ registry: 'docker.io', jwe: null, problem }])
    counts.push(asked.length)
  }
  t.same(counts, [2, 2, 3, 3], 'the failure at the login is remembered for a while')
  t.equal(told.length, 5)
})

t.test('only agents that can open credentials get some, and the outbox keeps none', async (t) => {
  const { scene, store } = await openScene(['a'], deploying)
  scene.credentials = [{ registry: 'docker.io', jwe: 'a.b.c.d.e', problem: null }]
  const run = async () => {
    const { id } = await scene.deployments.request(jenkins, requestFor({ recreate: true }))
    await scene.settle()
    return scene.deployments.view(id)
  }
  t.match(await run(), { outcome: 'succeeded' })
  t.match(scene.sentCredentials.slice(0, 2), [
    ['resolve', 1],
    ['stage', 1]
  ])
  t.notMatch(JSON.stringify(await store.outbox({})), 'a.b.c.d.e')
  scene.capabilities = agentCapabilities.filter((one) => one !== 'registry-credentials')
  scene.sentCredentials.splice(0)
  t.match(await run(), { outcome: 'succeeded' }, 'nothing is refused')
  t.match(scene.sentCredentials[0], ['resolve', undefined])
  await scene.close()
})

t.test('for its own fetches the controller finds the login of the registry, or none', async (t) => {
  const { store, login, useHelper } = await open(t)
  await login('registry.example.com:5000')
  await useHelper('broken.example.com', 'docker-credential-gcr')
  const helpers = { ask: () => Promise.reject(new HelperError('docker-credential-gcr failed')) }
  const warnings: unknown[] = []
  const log = {
    debug: () => {},
    info: () => {},
    warn: (fields: unknown) => warnings.push(fields),
    error: () => {}
  }
  const { forRepository } = createRegistryCredentials({ store, sealer, helpers, log })
  t.same(await forRepository('registry.example.com:5000/team/api'), { username: 'puller', password })
  t.equal(await forRepository('nginx'), null)
  t.same(warnings, [])
  t.equal(await forRepository('broken.example.com/api'), null)
  t.match(warnings, [{ registry: 'broken.example.com', problem: /docker-credential-gcr failed/ }])
})
