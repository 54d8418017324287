// The image store over HTTP, as clients of registries ask it: blobs in pieces and at once, manifests, tags, and what is
// refused. Real clients are in images-clients.test.ts.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type AgentId,
  agentId,
  installationId,
  limits,
  type SigningKey,
  signPullToken
} from '@longshore/protocol'
import t from 'tap'
import { enrol, newMachine } from '../support/agent-client.ts'
import {
  codeOf,
  digestOf,
  indexType,
  type RegistryAnswer,
  registryClient,
  sampleImage,
  sampleIndex
} from '../support/image-samples.ts'
import { startRealController, textOf } from '../support/real-controller.ts'

const controller = await startRealController(t, { keepFreeBytes: 0 })
const bearer = (token: string) => registryClient(() => controller.url, `Bearer ${token}`)
const pusher = bearer(await controller.tokenFor('push-image:*/*'))
const puller = bearer(await controller.tokenFor('pull-image:*/*'))
const { ask } = pusher
const location = ({ headers }: RegistryAnswer): string => headers.get('location') ?? ''
const uploadsLeft = () => readdir(join(controller.dataDir, 'images', 'uploads'))

t.test('says how to send a token, and takes it as a password or as a bearer', async (t) => {
  const stranger = await registryClient(() => controller.url, null).ask('GET', '/v2/')
  t.equal(stranger.status, 401)
  t.match(stranger.headers.get('www-authenticate'), /^Basic realm=/)
  t.equal(codeOf(stranger), 'UNAUTHORIZED')
  const basic = (password: string) => `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}`
  const known = await registryClient(() => controller.url, basic(controller.token)).ask('GET', '/v2/')
  t.equal(known.status, 200)
  t.equal(known.headers.get('docker-distribution-api-version'), 'registry/2.0')
  t.equal((await registryClient(() => controller.url, basic('wrong')).ask('GET', '/v2/')).status, 401)
  t.equal((await bearer(controller.token).ask('GET', '/v2/')).status, 200)
})

t.test(
  'asking without a token, as every client does first, is no failure that makes an address wait',
  async (t) => {
    const stranger = registryClient(() => controller.url, null)
    for (let tries = 0; tries < 2 * limits.maxFailuresPerAddress; tries += 1)
      await stranger.ask('GET', '/v2/')
    t.equal((await stranger.ask('GET', '/v2/')).status, 401)
  }
)

t.test('reading needs pull-image, changing push-image, over everything', async (t) => {
  const image = sampleImage(['rights'])
  const refused = await puller.putBlob('rights', image.config)
  t.same([refused.status, codeOf(refused)], [403, 'DENIED'])
  t.equal((await pusher.putImage('rights', '1', image)).status, 201)
  t.equal((await puller.ask('GET', '/v2/rights/manifests/1')).status, 200)
  t.equal((await puller.ask('DELETE', '/v2/rights/manifests/1')).status, 403)
  const other = bearer(await controller.tokenFor('read:*/*', 'pull-image:staging/*', 'deploy:*/*'))
  t.equal((await other.ask('GET', '/v2/rights/manifests/1')).status, 403)
})

t.test('takes a blob in pieces, tells how far it came, and serves ranges of it', async (t) => {
  const content = Buffer.from('0123456789')
  const begun = await ask('POST', '/v2/pieces/blobs/uploads/')
  t.equal(begun.status, 202)
  const first = await ask('PATCH', location(begun), { body: '0123', headers: { 'content-range': '0-3' } })
  t.same([first.status, first.headers.get('range')], [202, '0-3'])
  const gap = await ask('PATCH', location(begun), { body: '89', headers: { 'content-range': '8-9' } })
  t.same([gap.status, codeOf(gap), gap.headers.get('range')], [416, 'RANGE_INVALID', '0-3'])
  const told = await ask('GET', location(begun))
  t.same([told.status, told.headers.get('range')], [204, '0-3'])
  t.equal((await ask('PATCH', location(begun), { body: '4567' })).headers.get('range'), '0-7')
  const done = await ask('PUT', `${location(begun)}?digest=${digestOf(content)}`, { body: '89' })
  t.equal(done.status, 201)
  t.equal(location(done), `/v2/pieces/blobs/${digestOf(content)}`)
  const path = location(done)
  const whole = await puller.ask('GET', path)
  t.same([whole.status, whole.body.toString()], [200, '0123456789'])
  t.equal(whole.headers.get('docker-content-digest'), digestOf(content))
  const head = await puller.ask('HEAD', path)
  t.same([head.status, head.headers.get('content-length')], [200, '10'])
  const part = await puller.ask('GET', path, { headers: { range: 'bytes=3-5' } })
  t.same([part.status, part.body.toString(), part.headers.get('content-range')], [206, '345', 'bytes 3-5/10'])
  t.equal((await puller.ask('GET', path, { headers: { range: 'bytes=-2' } })).body.toString(), '89')
  t.equal((await puller.ask('GET', path, { headers: { range: 'bytes=10-' } })).status, 416)
  t.same(await uploadsLeft(), [])
})

t.test('a blob with another digest than was named is refused, and nothing of it stays', async (t) => {
  const wrong = digestOf('what was meant')
  const begun = await ask('POST', '/v2/corrupt/blobs/uploads/')
  await ask('PATCH', location(begun), { body: 'what arrived' })
  const refused = await ask('PUT', `${location(begun)}?digest=${wrong}`)
  t.same([refused.status, codeOf(refused)], [400, 'DIGEST_INVALID'])
  const unnamed = await ask('POST', '/v2/corrupt/blobs/uploads/?digest=sha256:none', { body: 'x' })
  t.same([unnamed.status, codeOf(unnamed)], [400, 'DIGEST_INVALID'])
  t.equal((await ask('HEAD', `/v2/corrupt/blobs/${wrong}`)).status, 404)
  t.equal((await ask('HEAD', `/v2/corrupt/blobs/${digestOf('what arrived')}`)).status, 404)
  t.equal((await ask('GET', location(begun))).status, 404)
  t.same(await uploadsLeft(), [])
})

t.test('a blob is mounted from another repository, or sent after all', async (t) => {
  const content = Buffer.from('shared')
  await pusher.putBlob('from', content)
  const mounted = await ask('POST', `/v2/to/blobs/uploads/?mount=${digestOf(content)}&from=from`)
  t.same([mounted.status, location(mounted)], [201, `/v2/to/blobs/${digestOf(content)}`])
  const missing = await ask('POST', `/v2/to/blobs/uploads/?mount=${digestOf('missing')}&from=from`)
  t.equal(missing.status, 202)
  t.equal((await ask('DELETE', location(missing))).status, 204)
  t.equal((await ask('PATCH', location(missing), { body: 'x' })).status, 404)
})

for (const kind of ['docker', 'oci'] as const) {
  t.test(`takes a manifest of the ${kind} type only once everything is there`, async (t) => {
    const image = sampleImage([`layer of ${kind}`], kind)
    const put = (reference: string, type = image.mediaType) =>
      ask('PUT', `/v2/${kind}/app/manifests/${reference}`, {
        body: image.manifest,
        headers: { 'content-type': type }
      })
    await pusher.putBlob(kind, image.config)
    const early = await put('1.0')
    t.same([early.status, codeOf(early)], [404, 'MANIFEST_BLOB_UNKNOWN'])
    t.equal((await ask('GET', `/v2/${kind}/app/manifests/1.0`)).status, 404)
    for (const layer of image.layers) await pusher.putBlob(kind, layer)
    t.equal(codeOf(await put(digestOf('another'))), 'DIGEST_INVALID')
    t.equal(codeOf(await put('1.0', 'application/json')), 'MANIFEST_INVALID')
    const done = await put('1.0')
    t.same([done.status, done.headers.get('docker-content-digest')], [201, image.digest])
    for (const reference of ['1.0', image.digest]) {
      const { status, body, headers } = await puller.ask('GET', `/v2/${kind}/app/manifests/${reference}`)
      t.same([status, headers.get('content-type')], [200, image.mediaType])
      t.ok(body.equals(image.manifest), 'byte for byte')
    }
    const head = await puller.ask('HEAD', `/v2/${kind}/app/manifests/1.0`)
    t.same([head.status, head.headers.get('content-length')], [200, String(image.manifest.length)])
  })
}

t.test('an index is taken once its manifests are in the repository', async (t) => {
  const images = [sampleImage(['a'], 'oci'), sampleImage(['b'], 'oci', 'arm64')]
  const index = sampleIndex(images)
  const put = () =>
    ask('PUT', '/v2/several/manifests/1', { body: index.content, headers: { 'content-type': indexType } })
  for (const [position, image] of images.entries()) {
    t.equal(codeOf(await put()), 'MANIFEST_BLOB_UNKNOWN', `${position} of 2`)
    await pusher.putImage('several', image.digest, image)
  }
  t.equal((await put()).headers.get('docker-content-digest'), index.digest)
})

t.test('a size that a manifest makes up is refused', async (t) => {
  const image = sampleImage(['sized'])
  await pusher.putImage('sized', '1', image)
  const lie = image.manifest.toString().replace('"size":5', '"size":4')
  const answer = await ask('PUT', '/v2/sized/manifests/2', {
    body: lie,
    headers: { 'content-type': image.mediaType }
  })
  t.equal(codeOf(answer), 'MANIFEST_INVALID')
})

t.test('tags are listed in order and in pages, move, and go', async (t) => {
  const [one, two] = [sampleImage(['one']), sampleImage(['two'])]
  for (const tag of ['b', 'c', 'a']) await pusher.putImage('listed', tag, one)
  await pusher.putImage('listed', 'b', two)
  const list = async (path: string) => JSON.parse((await puller.ask('GET', path)).body.toString())
  t.same(await list('/v2/listed/tags/list'), { name: 'listed', tags: ['a', 'b', 'c'] })
  const page = await puller.ask('GET', '/v2/listed/tags/list?n=2')
  t.equal(page.headers.get('link'), '</v2/listed/tags/list?n=2&last=b>; rel="next"')
  t.same((await list('/v2/listed/tags/list?n=2&last=b')).tags, ['c'])
  t.equal((await ask('HEAD', '/v2/listed/manifests/b')).headers.get('docker-content-digest'), two.digest)
  t.equal((await ask('DELETE', '/v2/listed/manifests/a')).status, 202)
  t.same((await list('/v2/listed/tags/list')).tags, ['b', 'c'])
  t.equal((await ask('DELETE', `/v2/listed/manifests/${two.digest}`)).status, 202)
  t.same((await list('/v2/listed/tags/list')).tags, ['c'])
  t.equal(codeOf(await puller.ask('GET', '/v2/nothing/tags/list')), 'NAME_UNKNOWN')
  for (const wrong of ['n=x', 'n=1&n=2', 'last=a&last=b']) {
    const { status } = await puller.ask('GET', `/v2/listed/tags/list?${wrong}`)
    t.equal(status, 405, wrong)
  }
})

t.test('who asks for a list of referrers is told to look for tags', async (t) => {
  const answer = await puller.ask('GET', `/v2/listed/referrers/${digestOf('any')}`)
  t.same([answer.status, codeOf(answer)], [404, 'MANIFEST_UNKNOWN'], 'which clients go on from')
})

t.test('every spelling of a repository is the same one', async (t) => {
  await pusher.putImage('web', '1', sampleImage(['web']))
  for (const name of ['web', 'library/web', 'docker.io/web', 'docker.io/library/web'])
    t.equal((await puller.ask('HEAD', `/v2/${name}/manifests/1`)).status, 200, name)
  t.equal((await puller.ask('HEAD', '/v2/team/web/manifests/1')).status, 404)
  for (const path of ['Web/manifests/1', '../x/manifests/1', 'a//b/manifests/1', 'web', 'web/other/1'])
    t.ok((await puller.ask('GET', `/v2/${path}`)).status >= 400, path)
})

t.test('an agent reads with a token that it signs, and can do nothing else', async (t) => {
  const machine = await newMachine('puller')
  const { token } = await controller.joinToken()
  const { body } = await enrol(controller.url, machine, token)
  const id = agentId.parse(textOf(body, 'agent'))
  const sign = (of: AgentId, key: SigningKey, change: object = {}) =>
    signPullToken(
      {
        agent: of,
        installation: installationId.parse(controller.installation),
        nowMs: Date.now(),
        ...change
      },
      key
    )
  await pusher.putImage('pulled', '1', sampleImage(['pulled']))
  const statusWith = async (pull: string, method = 'GET') =>
    (await bearer(pull).ask(method, '/v2/pulled/manifests/1')).status
  const good = await sign(id, machine.key)
  t.equal(await statusWith(good), 200)
  t.equal(await statusWith(good, 'HEAD'), 200)
  t.equal(await statusWith(good, 'DELETE'), 403)
  t.equal((await bearer(good).ask('POST', '/v2/pulled/blobs/uploads/')).status, 403)
  t.equal((await controller.ask('GET', '/v1/info', { token: good })).status, 401, 'not for the rest')
  const other = await newMachine('stranger')
  t.equal(await statusWith(await sign(id, other.key)), 401, "another's key")
  t.equal(await statusWith(await sign(id, machine.key, { nowMs: Date.now() - 3_600_000 })), 403, 'expired')
  await controller.ask('POST', `/v1/agents/${id}/revoke`, { body: {} })
  t.equal(await statusWith(good), 403, 'revoked')
})

t.test('what an upload has survives a restart, and so does what is stored', async (t) => {
  const image = sampleImage(['kept'])
  await pusher.putImage('kept', '1', image)
  const begun = await ask('POST', '/v2/kept/blobs/uploads/')
  await ask('PATCH', location(begun), { body: 'first ' })
  await controller.stop()
  await controller.start({ keepFreeBytes: 0 })
  t.equal((await ask('GET', location(begun))).headers.get('range'), '0-5')
  const last = { body: 'second', headers: { 'content-range': '6-11' } }
  t.equal((await ask('PATCH', location(begun), last)).status, 202)
  t.equal((await ask('PUT', `${location(begun)}?digest=${digestOf('first second')}`)).status, 201)
  t.ok((await ask('GET', '/v2/kept/manifests/1')).body.equals(image.manifest))
})
