// Images of other registries, fetched once: the token dance, redirects, several platforms, and every way to fail. The
// registry is a stand-in that counts; the real one is in test/integration/image-cache.test.ts.

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { digest } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { authorize } from '../../../../packages/controller/src/adapters/upstream/authorize.ts'
import { createUpstream } from '../../../../packages/controller/src/adapters/upstream/fetch-images.ts'
import { addressOf, readChallenge } from '../../../../packages/controller/src/core/images/registry-address.ts'
import { upstreamErrors } from '../../../../packages/controller/src/core/images/upstream-error.ts'
import {
  createImageCache,
  type WantedImage
} from '../../../../packages/controller/src/engine/cache-images.ts'
import {
  digestOf,
  indexType,
  type SampleImage,
  sampleImage,
  sampleIndex
} from '../../../support/image-samples.ts'
import { openImages } from './images-scene.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => boolean

/** Serves what it is given below /v2/team/app; `before` may answer first. */
const standIn = async (t: Test, before: Answer = () => false) => {
  const contents = new Map<string, { type: string; content: Buffer }>()
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (before(request, response)) return
    const found = contents.get(request.url?.split('/').at(-1) ?? '')
    if (found === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': found.type }).end(found.content)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const put = (content: Buffer, type = 'application/octet-stream') =>
    contents.set(digestOf(content), { type, content })
  const putImage = ({ layers, config, manifest, mediaType }: SampleImage): void => {
    for (const blob of [...layers, config]) put(blob)
    put(manifest, mediaType)
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    repository: `127.0.0.1:${port}/team/app`,
    asked,
    contents,
    put,
    putImage
  }
}
/** @param silenceMs short where a registry says nothing: elsewhere a busy machine may be slow to answer */
const cacheOf = async (t: Test, silenceMs = 30_000) => {
  const scene = await openImages(t)
  return {
    ...scene,
    cache: createImageCache({ images: scene.images, upstream: createUpstream({ ca: null, silenceMs }) })
  }
}
const want = (repository: string, text: string, more: Partial<WantedImage> = {}): WantedImage => ({
  repository,
  digest: digest.parse(text),
  platforms: null,
  login: null,
  ...more
})

t.test('a hundred who want the same image cost its registry one pull', async (t) => {
  const { cache, images } = await cacheOf(t)
  const registry = await standIn(t)
  const image = sampleImage(['one', 'two'])
  registry.putImage(image)
  const wanted = want(registry.repository, image.digest)
  const found = await Promise.all(Array.from({ length: 100 }, () => cache.ensure(wanted)))
  t.ok(found.every(({ digest }) => digest === image.digest))
  t.equal(registry.asked.length, 4, 'the manifest, the configuration, two layers')
  await cache.ensure(wanted)
  t.equal(registry.asked.length, 4, 'it is here now')
  t.ok(await images.find(registry.repository, image.digest))
})

t.test('logs in as the registry says, and tells the token to nobody else', async (t) => {
  const { cache } = await cacheOf(t)
  const strange: (string | undefined)[] = []
  const blobs = await standIn(t, ({ headers }) => {
    strange.push(headers.authorization)
    return false
  })
  const registry = await standIn(t, ({ url = '', headers }, response) => {
    if (url.startsWith('/token')) {
      const isRight = headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`
      response.writeHead(isRight ? 200 : 401).end(JSON.stringify({ token: 'granted' }))
    } else if (headers.authorization !== 'Bearer granted') {
      const scope = 'service="it",scope="repository:team/app:pull"'
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="http://${headers.host}/token",${scope}` })
        .end()
    } else if (url.includes('/blobs/')) response.writeHead(307, { location: blobs.origin + url }).end()
    else return false
    return true
  })
  const image = sampleImage(['private'])
  for (const one of [registry, blobs]) one.putImage(image)
  const wanted = want(registry.repository, image.digest)
  await t.rejects(cache.ensure(wanted), { code: 'registry-denied' })
  await cache.ensure({ ...wanted, login: { username: 'me', password: 'secret' } })
  t.ok(registry.asked.includes('/token?service=it&scope=repository%3Ateam%2Fapp%3Apull'))
  t.same(new Set(strange), new Set([undefined]))
})

t.test('a registry that is asked over TLS gets no login sent in plain text anywhere', async (t) => {
  const exchange = () => t.fail('it is asked')
  const challenge = 'Bearer realm="http://tokens.example/"'
  const registry = new URL('https://registry.example/v2/')
  await t.rejects(authorize(exchange as never, challenge, { login: null, registry }), {
    code: 'registry-denied',
    message: /plain HTTP/
  })
})

t.test('of an index only the platforms that are wanted are fetched', async (t) => {
  const { cache, images, collect, time } = await cacheOf(t)
  const registry = await standIn(t)
  const [amd, arm] = [sampleImage(['amd'], 'oci'), sampleImage(['arm'], 'oci', 'arm64')]
  for (const image of [amd, arm]) registry.putImage(image)
  const { manifests } = JSON.parse(sampleIndex([amd, arm]).content.toString())
  manifests[0].platform = { os: 'linux', architecture: 'amd64' }
  manifests[1].platform = { os: 'linux', architecture: 'arm64', variant: 'v8' }
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
  registry.put(index, indexType)
  const wanted = want(registry.repository, digestOf(index), { platforms: ['linux/amd64'] })
  t.same(
    (await cache.ensure(wanted)).platforms.map(({ platform }) => platform),
    ['linux/amd64']
  )
  t.notOk(registry.asked.some((path) => path.endsWith(arm.digest)))
  const both = { ...wanted, platforms: ['linux/amd64', 'linux/arm64'] }
  t.equal((await cache.ensure(both)).platforms.length, 2, 'more are fetched when more are wanted')
  time.nowMs += 120_000
  await collect()
  t.equal(await images.find(registry.repository, digestOf(index)), undefined, 'no release keeps it')
})

t.test('every failure has its code, and nothing of it is stored', async (t) => {
  const { cache, images, stored } = await cacheOf(t, 1_000)
  const image = sampleImage(['failing'])
  const layer = digestOf('failing')
  const failures: [string, Answer][] = [
    ['registry-unknown', (_request, response) => !!response.writeHead(404).end()],
    ['registry-busy', (_request, response) => !!response.writeHead(429).end()],
    ['registry-busy', (_request, response) => !!response.writeHead(503).end()],
    ['registry-denied', (_request, response) => !!response.writeHead(403).end()],
    ['registry-denied', (_request, response) => !!response.writeHead(401).end()],
    ['registry-unreachable', () => true],
    ['registry-unreachable', (_request, response) => !!response.writeHead(302, { location: '?' }).end()],
    [
      'registry-unreachable',
      (_request, response) => !!response.writeHead(302, { location: 'ftp://a' }).end()
    ],
    [
      'registry-unreachable',
      (_request, response) => !!response.writeHead(302, { location: 'http://' }).end()
    ],
    [
      'registry-denied',
      (_request, response) =>
        !!response.writeHead(401, { 'www-authenticate': 'Bearer realm="file:///etc/passwd"' }).end()
    ],
    ['registry-corrupt', ({ url }, response) => !!url?.includes('manifests') && !!response.end('{}')],
    ['registry-corrupt', ({ url }, response) => !!url?.endsWith(layer) && !!response.end('other')],
    [
      'registry-unreachable',
      ({ url }, response) => {
        if (!url?.endsWith(layer)) return false
        response.writeHead(200, { 'content-length': 7 }).write('fail')
        setImmediate(() => response.destroy())
        return true
      }
    ],
    [
      'registry-unreachable',
      ({ url }, response) => !!url?.endsWith(layer) && response.writeHead(200).write('fail')
    ]
  ]
  for (const [at, [code, answer]] of failures.entries()) {
    const registry = await standIn(t, answer)
    registry.putImage(image)
    await t.rejects(cache.ensure(want(registry.repository, image.digest)), { code }, `${at}: ${code}`)
    t.equal(await images.find(registry.repository, image.digest), undefined)
    t.equal(await images.blobs.sizeOf(digest.parse(layer)), undefined)
  }
  await t.rejects(cache.ensure(want('127.0.0.1:1/x', image.digest)), { code: 'registry-unreachable' })
  t.ok((await stored()) <= 1, 'at most the configuration, which was right')
})

t.test('a registry is found by the name of a repository, as Docker finds it', async (t) => {
  t.same(addressOf('nginx'), { origin: 'https://registry-1.docker.io', path: 'library/nginx' })
  t.same(addressOf('docker.io/team/app'), { origin: 'https://registry-1.docker.io', path: 'team/app' })
  t.same(addressOf('r.example:5000/a/b'), { origin: 'https://r.example:5000', path: 'a/b' })
  t.same(addressOf('localhost:5000/a'), { origin: 'http://localhost:5000', path: 'a' })
  t.same(addressOf('[::1]:5000/a'), { origin: 'http://[::1]:5000', path: 'a' })
  t.same(readChallenge('Basic realm="x"'), { kind: 'basic' })
  t.same(readChallenge('Bearer realm="https://a.example/t",service="s"'), {
    kind: 'bearer',
    realm: 'https://a.example/t',
    parameters: { service: 's' }
  })
  for (const header of [
    '',
    'Negotiate',
    'Bearer service="s"',
    'Bearer realm="nowhere"',
    'Bearer realm="ftp://a/"'
  ])
    t.equal(readChallenge(header), null)
})

t.test('docs/errors.md has every code of other registries once', async (t) => {
  const text = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')
  const section = text.split('\n## ').find((part) => part.startsWith('Registry codes\n')) ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  t.same(rows.map((row) => row.split('`')[1]).sort(), Object.keys(upstreamErrors).sort())
})
