// Where content lies is one port: the same contract for files and for a real registry (Debian's docker-registry), then
// what only the registry can do: be away, break off, lie, refuse to remove, belong to others as well, want a login.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type Digest, digest } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { createExchange } from '../../packages/controller/src/adapters/upstream/exchange.ts'
import { createRegistryBlobs } from '../../packages/controller/src/adapters/upstream/registry-blobs.ts'
import { readReference } from '../../packages/controller/src/core/images/image-path.ts'
import { readStoreAddress } from '../../packages/controller/src/core/images/store-address.ts'
import { withFormerBlobs } from '../../packages/controller/src/engine/former-blobs.ts'
import type { Blobs } from '../../packages/controller/src/image-ports.ts'
import type { Clock, Login } from '../../packages/controller/src/ports.ts'
import { readSettings, startSettings } from '../../packages/controller/src/settings.ts'
import { collectCommand } from '../../scripts/hosts/run-command.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering, obedient } from '../support/answering-agent.ts'
import { startGuardedRegistry, startTokenRegistry } from '../support/guarded-registry.ts'
import {
  codeOf,
  digestOf,
  indexType,
  type RegistryClient,
  registryClient,
  sampleImage,
  sampleIndex
} from '../support/image-samples.ts'
import { makeImage } from '../support/images.ts'
import { startOddRegistry } from '../support/odd-registry.ts'
import { startTestController } from '../support/processes.ts'
import { specOf, startRealController, textOf } from '../support/real-controller.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { startTestRegistry } from '../support/registry.ts'
import { waitUntil } from '../support/wait.ts'
import { jenkins } from '../unit/controller/engine/engine-scene.ts'
import { graceMs, hub, openImages } from '../unit/controller/images/images-scene.ts'

const installation = `ins_${'a'.repeat(20)}`
const named = (content: string | Uint8Array): Digest => digest.parse(digestOf(content))
const bytes = (count: number, seed: string): Buffer =>
  Buffer.alloc(count, createHash('sha256').update(seed).digest())

type Told = { level: string; text: string }
type Options = { told?: Told[]; by?: string; ca?: string; login?: Login; silenceMs?: number }
const blobsAt =
  (at: string, { told = [], by = installation, ca, login, silenceMs }: Options = {}) =>
  (clock: Pick<Clock, 'nowMs'>): Blobs => {
    const address = readStoreAddress(at)
    if (address === undefined) throw new Error(`no address: ${at}`)
    const note = (level: string) => (_fields: object, text: string) => void told.push({ level, text })
    const log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') }
    const exchange = createExchange({ ca: ca ?? null })
    const askLogin = async () => login ?? null
    const parts = { address, exchange, login: askLogin, installation: by, clock, log }
    return createRegistryBlobs({ ...parts, ...(silenceMs !== undefined && { silenceMs }) })
  }

const keepsContract = async (t: Test, blobsFor?: (clock: Clock) => Blobs): Promise<void> => {
  const scene = await openImages(t, blobsFor)
  const { blobs, images, putBlob, push, collect, time } = scene
  t.equal(await blobs.sizeOf(named('x')), undefined)
  t.equal(await blobs.open(named('x')), undefined)
  t.equal(await blobs.read(named('x'), 10), undefined)

  for (const content of [Buffer.alloc(0), Buffer.from('0123456789'), bytes(3_000_000, 'large')]) {
    await putBlob(content)
    const blob = named(content)
    t.equal(await blobs.sizeOf(blob), content.length)
    const whole = await (await blobs.open(blob))?.stream(null)
    t.ok(whole && (await buffer(whole)).equals(content), `all of ${content.length} bytes`)
    t.ok((await blobs.read(blob, 5_000_000))?.equals(content))
    if (content.length === 0) continue
    t.equal(await blobs.read(blob, content.length - 1), undefined, 'too large to be read at once')
    const part = await (await blobs.open(blob))?.stream({ first: 3, last: content.length - 2 })
    t.ok(part && (await buffer(part)).equals(content.subarray(3, -1)), 'a range')
    await (await blobs.open(blob))?.close()
  }

  const images2 = [
    sampleImage(['one', 'shared'], 'oci'),
    sampleImage(['two', 'shared'], 'oci', 'arm64')
  ] as const
  for (const image of images2) await push(image.digest, image)
  const index = sampleIndex(images2)
  await scene.putManifest('1', indexType, index.content)
  t.equal((await images.find('api', '1'))?.platforms.length, 2)
  const sparse = sampleIndex([images2[0], sampleImage(['elsewhere'], 'oci', 's390x')])
  const ofOne = { mediaType: indexType, content: sparse.content, isSparse: true }
  await images.putManifest(jenkins, { repository: hub, reference: readReference(sparse.digest), ...ofOne })
  t.equal((await images.find('api', sparse.digest))?.platforms.length, 1)
  const other = sampleImage(['other', 'shared'])
  await push('2', other)
  time.nowMs += 2 * graceMs
  await collect()
  t.equal((await images.find('api', '1'))?.platforms.length, 2, 'what a tag needs stays')

  await images.remove(jenkins, hub, readReference('1'))
  t.equal((await collect()).manifests, 3)
  t.equal(await images.find('api', '1'), undefined)
  t.equal((await images.find('api', '2'))?.platforms.length, 1)
  t.equal(await blobs.sizeOf(named('shared')), 6, 'another image needs it')
  await push('1', images2[0])
  t.equal((await images.find('api', '1'))?.platforms.length, 1, 'what was removed is taken again')
  const lacking = sampleImage(['not here'])
  await t.rejects(scene.putManifest('3', lacking.mediaType, lacking.manifest), {
    code: 'MANIFEST_BLOB_UNKNOWN'
  })
}

t.test('files keep the contract', (t) => keepsContract(t))

testOnRealParts(
  t,
  'a registry keeps the contract, and what is not of this installation stays in it',
  async (t) => {
    const registry = await startTestRegistry(t, '127.0.0.1', 17441)
    const at = `http://${registry.name}/team/longshore`
    await keepsContract(t, blobsAt(at))
    const direct = registryClient(() => `http://${registry.name}`, null)
    const tags = async (): Promise<string[]> =>
      JSON.parse((await direct.ask('GET', '/v2/team/longshore/tags/list')).body.toString()).tags ?? []
    t.equal((await tags()).length, 2, 'one for each manifest that is needed')

    const { collect, push, images, time } = await openImages(t, blobsAt(at))
    const [foreign, shared, ours] = [sampleImage(['foreign']), sampleImage(['both']), sampleImage(['ours'])]
    const clock = { nowMs: () => time.nowMs }
    const sibling = blobsAt(at, { by: `ins_${'b'.repeat(20)}` })(clock)
    for (const image of [shared, ours, foreign]) await push('1', image)
    for (const blob of [...ours.layers, ours.config])
      await direct.ask(
        'POST',
        `/v2/team/elsewhere/blobs/uploads/?mount=${digestOf(blob)}&from=team/longshore`
      )
    for (const [path, image] of [
      ['longshore/manifests/by-hand', foreign],
      ['elsewhere/manifests/1', ours]
    ] as const) {
      const put = { body: image.manifest, headers: { 'content-type': image.mediaType } }
      t.equal((await direct.ask('PUT', `/v2/team/${path}`, put)).status, 201)
    }
    await sibling.takeManifest({
      ...shared,
      digest: named(shared.manifest),
      content: shared.manifest.toString()
    })
    await images.remove(jenkins, hub, readReference('1'))
    time.nowMs += 2 * graceMs
    await collect()
    const left = async (path: string): Promise<number> => (await direct.ask('HEAD', `/v2/${path}`)).status
    const accept = (digest: string) => `team/longshore/manifests/${digest}`
    t.equal(await left(accept(ours.digest)), 404, 'nobody needs it')
    t.equal(await left(accept(shared.digest)), 200, 'another installation does')
    t.equal(await left(accept(foreign.digest)), 200, 'a person set a tag on it')
    t.equal(await left(`team/elsewhere/manifests/${ours.digest}`), 200, 'another repository')
    const ofOurs = (await tags()).filter((tag) => tag.startsWith(installation))
    t.equal(ofOurs.length, 2, 'those spared; what no database knows any more is gone')
  }
)

testOnRealParts(t, 'a registry that removes nothing is told of once', async (t) => {
  const registry = await startTestRegistry(t, '127.0.0.1', 17442, { isDeletable: false })
  const told: Told[] = []
  const { collect, push, images, time } = await openImages(t, blobsAt(`http://${registry.name}`, { told }))
  await push('1', sampleImage(['a']))
  await push('2', sampleImage(['b']))
  for (const tag of ['1', '2']) await images.remove(jenkins, hub, readReference(tag))
  time.nowMs += 2 * graceMs
  t.same(await collect(), { uploads: 0, manifests: 2, blobs: 0 })
  t.same(await collect(), { uploads: 0, manifests: 0, blobs: 0 })
  t.equal(told.length, 1)
  t.match(told, [{ level: 'warn', text: /removes no manifests/ }])
})

testOnRealParts(t, 'what lay in files before a registry took over is served, and goes in time', async (t) => {
  const registry = await startTestRegistry(t, '127.0.0.1', 17443)
  const before = await openImages(t)
  const image = sampleImage(['old'])
  await before.push('1', image)
  const both = withFormerBlobs(
    blobsAt(`http://${registry.name}`)({ nowMs: () => before.time.nowMs }),
    before.blobs
  )
  const old = digest.parse(digestOf('old'))
  await registry.stop()
  t.equal((await both.read(old, 10))?.toString(), 'old', 'also while the registry is away')
  const stream = await (await both.open(old))?.stream(null)
  t.equal(stream && (await buffer(stream)).toString(), 'old')
  await registry.start()
  t.equal(await both.sizeOf(old), undefined, 'a push sends it anew')
  before.time.nowMs += 2 * graceMs
  const beforeMs = before.time.nowMs - graceMs
  t.ok((await both.unusedSince(beforeMs)).includes(old))
  t.equal(await both.removeUnused(old, beforeMs), true)
  t.equal(await both.read(old, 10), undefined)
})

const skopeo = async (...args: string[]): Promise<string> => {
  const { exitCode, stdout, stderr } = await collectCommand('skopeo', ['--insecure-policy', ...args])
  if (exitCode !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`)
  return stdout
}

testOnRealParts(
  t,
  'skopeo and longshore push store images in the registry, and a restart changes nothing',
  async (t) => {
    const registry = await startTestRegistry(t, '127.0.0.1', 17444)
    const dataFolder = join(makeTestFolder(t), 'controller')
    const args = ['--image-store', `http://${registry.name}/kept/here`]
    const controller = await startTestController(t, { address: '127.0.0.1', port: 17445, dataFolder, args })
    const image = makeImage([[{ type: 'file', path: 'a', content: bytes(2_000_000, 'skopeo') }]], {})
    const source = await registry.push('team/app', '1', image)
    const creds = `anyone:${controller.token}`
    const store = 'docker://127.0.0.1:17445'
    const to = ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', `--dest-creds=${creds}`]
    const from = ['copy', '--src-tls-verify=false', `--src-creds=${creds}`]
    const folder = makeTestFolder(t)
    await skopeo(...to, `docker://${registry.name}/team/app:1`, `${store}/api:1`)
    await skopeo(...from, `${store}/api:1`, `docker-archive:${join(folder, 'out.tar')}:api:2`)
    const pushed = await controller.cli('push', '--archive', join(folder, 'out.tar'), 'api:2')
    t.equal(pushed.exitCode, 0, pushed.stderr)
    await controller.stop()
    await controller.start()
    await skopeo(...from, `${store}/api:2`, `oci:${join(folder, 'oci')}:2`)
    const raw = await skopeo('inspect', '--raw', '--tls-verify=false', `--creds=${creds}`, `${store}/api:1`)
    t.equal(digestOf(raw), source)
    t.same(readdirSync(join(dataFolder, 'images')), ['uploads'], 'no blob lies in files')
    t.same(readdirSync(join(dataFolder, 'images', 'uploads')), [])
    const direct = await fetch(`http://${registry.name}/v2/kept/here/manifests/${source}`, { method: 'HEAD' })
    t.equal(direct.status, 200, 'the registry has the manifest itself')
  }
)

const openStore = async (t: Test, port: number) => {
  const registry = await startTestRegistry(t, '127.0.0.1', port)
  const odd = await startOddRegistry(t, '127.0.0.1', port + 1, registry.name)
  const controller = await startRealController(t, { keepFreeBytes: 0, imageStore: `http://${odd.name}` })
  const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
  return { registry, odd, controller, client }
}
const answerOf = async (client: RegistryClient, ...asked: Parameters<RegistryClient['ask']>) => {
  const answer = await client.ask(...asked)
  return [answer.status, answer.status < 400 || asked[0] === 'HEAD' ? undefined : codeOf(answer)]
}

testOnRealParts(
  t,
  'a push that the registry breaks off is finished later, and nothing half is there',
  async (t) => {
    const { registry, odd, controller, client } = await openStore(t, 17446)
    const content = bytes(20_000_000, 'pushed')
    const path = `/v2/api/blobs/${digestOf(content)}`
    const begun = await client.ask('POST', '/v2/api/blobs/uploads/')
    const upload = begun.headers.get('location') ?? ''
    await client.ask('PATCH', upload, { body: content })
    odd.oddity = { kind: 'cuts-upload-once', afterBytes: 5_000_000 }
    const finish = `${upload}?digest=${digestOf(content)}`
    t.same(await answerOf(client, 'PUT', finish), [503, 'STORE_UNAVAILABLE'])
    t.equal((await client.ask('HEAD', path)).status, 404)
    await registry.stop()
    t.same(await answerOf(client, 'PUT', finish), [503, 'STORE_UNAVAILABLE'])
    t.same(await answerOf(client, 'GET', path), [503, 'STORE_UNAVAILABLE'])
    t.equal((await client.ask('HEAD', path)).status, 503)
    t.same(await answerOf(client, 'POST', '/v2/api/blobs/uploads/'), [503, 'STORE_UNAVAILABLE'])
    await controller.stop()
    await controller.start({ imageStore: `http://${odd.name}`, keepFreeBytes: 0 })
    t.equal((await client.ask('GET', '/v2/')).status, 200, 'it starts without the registry')
    await registry.start()
    t.equal((await client.ask('PUT', finish)).status, 201, 'what arrived was kept')
    t.ok((await client.ask('GET', path)).body.equals(content))
    t.same(await answerOf(client, 'GET', upload), [404, 'BLOB_UPLOAD_UNKNOWN'])
  }
)

testOnRealParts(t, 'wrong content and a registry that dies in a pull never make a whole blob', async (t) => {
  const { registry, odd, controller, client } = await openStore(t, 17448)
  const [small, large] = [Buffer.from('a small blob'), bytes(30_000_000, 'pulled')]
  for (const content of [small, large]) t.equal((await client.putBlob('api', content)).status, 201)
  const at = (content: Buffer) => `/v2/api/blobs/${digestOf(content)}`
  odd.oddity = { kind: 'wrong-config' }
  t.same(await answerOf(client, 'GET', at(small)), [502, 'STORE_CORRUPT'])
  odd.oddity = { kind: 'wrong-layer' }
  await t.rejects(client.ask('GET', at(large)), /terminated/)
  odd.oddity = { kind: 'none' }
  t.ok((await client.ask('GET', at(large))).body.equals(large))
  const part = await client.ask('GET', at(large), { headers: { range: 'bytes=25000000-' } })
  t.same([part.status, part.headers.get('content-range')], [206, 'bytes 25000000-29999999/30000000'])
  t.ok(part.body.equals(large.subarray(25_000_000)))
  t.equal(odd.asked.at(-1)?.endsWith(' bytes=25000000-29999999'), true, 'the rest is not fetched')

  const headers = { authorization: `Bearer ${controller.token}` }
  const broken = await fetch(controller.url + at(large), { headers })
  const reader = broken.body?.getReader()
  await reader?.read()
  await registry.stop()
  await t.rejects(async () => {
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read());
  })
  await registry.start()
  t.ok((await client.ask('GET', at(large))).body.equals(large))
})

testOnRealParts(t, 'a deployment goes on with other sources while the registry is away', async (t) => {
  const { registry, controller, client } = await openStore(t, 17450)
  const image = sampleImage(['deployed'])
  await client.putImage('registry.example/it', '1', image)
  await registry.stop()
  t.equal((await client.ask('GET', '/v2/registry.example/it/manifests/1')).status, 200, 'the database has it')
  await controller.ask('PUT', '/v1/environments/staging/services/app/spec', { body: { spec: specOf() } })
  const machine = await newMachine('host')
  const { token } = await controller.joinToken()
  await enrol(controller.url, machine, token)
  const sources: unknown[] = []
  await connectAnswering(controller.url, machine, await controller.trust(), (command) => {
    const { body } = command
    if (body.kind === 'stage') sources.push(body.sources[0]?.kind)
    if (body.kind !== 'resolve') return obedient(command)
    const result = { kind: 'resolve', digest: digest.parse(image.digest) } as const
    return { serving: 'none', release: null, status: 'succeeded', result }
  })
  const body = { service: 'app', environment: 'staging', what: { by: 'tag', tag: '1' } }
  const id = textOf((await controller.ask('POST', '/v1/deployments', { body })).body, 'id')
  const view = await waitUntil('the deployment has ended', async () => {
    const found = (await controller.ask('GET', `/v1/deployments/${id}`)).body
    return found['phase'] === 'ended' ? found : undefined
  })
  t.match(view, { outcome: 'succeeded', digest: image.digest })
  t.same(sources, ['registry'])
})

testOnRealParts(t, 'the login of the registry is the one that is stored for it', async (t) => {
  const folder = makeTestFolder(t)
  const account = 'puller:$2y$04$.Ibgx7jOFBbj.kgNwaDlg.AQjYKcQbuC6BS2a/Wbdz9Ef7K2ebNqW'
  await startGuardedRegistry(t, { address: '127.0.0.1:17452', account, content: join(folder, 'content') })
  const controller = await startRealController(t, { keepFreeBytes: 0, imageStore: 'http://127.0.0.1:17452' })
  const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
  const image = sampleImage(['guarded'])
  const denied = await client.putImage('api', '1', image)
  t.same([denied.status, codeOf(denied)], [503, 'STORE_UNAVAILABLE'])
  const login = async (password: string): Promise<number> => {
    const body = { host: '127.0.0.1:17452', username: 'puller', password }
    return (await controller.ask('POST', '/v1/registries', { body })).status
  }
  await login('wrong')
  t.match(
    (await client.putImage('api', '1', image)).body.toString(),
    /longshore registry login 127.0.0.1:17452/
  )
  await login('a-password-that-is-nowhere-else')
  t.equal((await client.putImage('api', '1', image)).status, 201)
  t.equal((await client.ask('GET', `/v2/api/blobs/${image.configDigest}`)).status, 200)
})

testOnRealParts(t, 'a registry that gives tokens for a login, over HTTPS, keeps the contract', async (t) => {
  const login = { username: 'longshore', password: 'of the store' }
  const at = 'https://127.0.0.1:17454/team/images'
  const { caFile, scopes } = await startTokenRegistry(t, { address: '127.0.0.1', port: 17454, login })
  const ca = readFileSync(caFile, 'utf8')
  await keepsContract(t, blobsAt(at, { ca, login }))
  t.same(scopes, ['pull', 'pull,push', 'delete'], 'each token is asked for once')
  const { putBlob } = await openImages(t, blobsAt(at, { ca }))
  await t.rejects(putBlob(Buffer.from('x')), { code: 'STORE_UNAVAILABLE', message: /wants another login/ })
  const stranger = await openImages(t, blobsAt(at, { login }))
  await t.rejects(stranger.putBlob(Buffer.from('x')), { code: 'STORE_UNAVAILABLE', message: /certificate/ })
})

t.test('a registry that hangs is waited for once, not by everybody', async (t) => {
  const held: Socket[] = []
  const hanging = createServer((socket) => held.push(socket)).listen(0, '127.0.0.1')
  await once(hanging, 'listening')
  t.teardown(() => {
    hanging.close()
    for (const socket of held) socket.destroy()
  })
  const { port } = hanging.address() as AddressInfo
  const time = { nowMs: 1 }
  const blobs = blobsAt(`http://127.0.0.1:${port}`, { silenceMs: 100 })({ nowMs: () => time.nowMs })
  const refused = (message: RegExp) =>
    t.rejects(blobs.sizeOf(named('x')), { code: 'STORE_UNAVAILABLE', message })
  await refused(/nothing came for/)
  for (const _ of [1, 2, 3]) await refused(/did not answer a moment ago/)
  t.equal(held.length, 1)
  time.nowMs += 60_000
  await refused(/nothing came for/)
  t.equal(held.length, 2)
})

t.test('an address that is none, and plain HTTP to another machine, are no setting', (t) => {
  const read = (imageStore: string, more = {}) =>
    readSettings(startSettings, { dataDir: 'x', imageStore, ...more }).imageStore
  for (const wrong of ['registry.internal', 'ftp://x', 'https://a:b@x/y', 'https://x/UPPER', 'https://x/y?z'])
    t.throws(() => read(wrong), { code: 'invalid-setting', message: /^imageStore: expected/ }, wrong)
  const plain = 'http://registry.internal:5000'
  t.throws(() => read(plain), { message: /unencrypted/ })
  t.match(read(plain, { allowPlaintext: true }), { origin: plain })
  t.match(read('https://registry.internal/team/images/'), {
    repository: 'team/images',
    registry: 'registry.internal'
  })
  t.match(read('https://registry'), { repository: 'longshore', registry: 'registry:443' })
  t.end()
})
