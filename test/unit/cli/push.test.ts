// Which image of an archive is pushed, and how the progress of a push looks.
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { chooseImage, namesIn } from '../../../packages/controller/src/cli/push/choose-image.ts'
import { createRegistryClient } from '../../../packages/controller/src/cli/push/registry-client.ts'
import { sendImage } from '../../../packages/controller/src/cli/push/send-image.ts'
import { renderPush } from '../../../packages/controller/src/cli/push/show-push.ts'
import { surveyArchive } from '../../../packages/controller/src/cli/push/survey-archive.ts'
import { walkArchive } from '../../../packages/controller/src/cli/push/walk-archive.ts'
import { readSettings } from '../../../packages/controller/src/cli/read-settings.ts'
import { packTar, type TarEntry } from '../../../scripts/hosts/tar.ts'
import {
  digestOf,
  indexType,
  type SampleImage,
  sampleImage,
  sampleIndex,
  savedArchive
} from '../../support/image-samples.ts'

const file = (path: string, content: Buffer | string): TarEntry => ({
  type: 'file',
  path,
  content: Buffer.from(content)
})
const survey = (...entries: TarEntry[]) => surveyArchive(Readable.from([packTar(entries)]))
const blob = (content: Buffer) => file(`blobs/sha256/${digestOf(content).slice(7)}`, content)
const contentsOf = ({ layers, config, manifest }: SampleImage): TarEntry[] =>
  [...layers, config, manifest].map(blob)
const layout = (...tops: object[]): TarEntry[] => [
  file('oci-layout', '{}'),
  file('index.json', JSON.stringify({ manifests: tops }))
]
const describe = ({ mediaType, digest, manifest }: SampleImage, name?: string) => ({
  mediaType,
  digest,
  size: manifest.length,
  ...(name === undefined ? {} : { annotations: { 'io.containerd.image.name': name } })
})

t.test('a layer that docker save wrote once for two is found by its link', async (t) => {
  const image = sampleImage(['twice', 'once', 'twice'])
  const manifest = [
    { Config: 'c.json', RepoTags: ['api:1'], Layers: ['a/layer.tar', 'b/layer.tar', 'c/layer.tar'] }
  ]
  const seen = await survey(
    file('./a/layer.tar', 'twice'),
    file('b/layer.tar', 'once'),
    { type: 'symlink', path: 'c/layer.tar', target: '../a/layer.tar' },
    file('c.json', image.config),
    file('manifest.json', JSON.stringify(manifest))
  )
  const chosen = chooseImage(seen, null)
  t.same(
    chosen.manifests.map(({ digest }) => digest),
    [image.digest],
    'the manifest is the one that this image always gets'
  )
  t.same(
    chosen.blobs.map(({ path }) => path),
    ['a/layer.tar', 'b/layer.tar', 'c.json']
  )
  t.same(namesIn(seen), ['api:1'])
})

t.test('a layer that a saved archive has compressed is called so', async (t) => {
  const image = sampleImage(['plain', gzipSync('compressed')])
  const seen = await surveyArchive(Readable.from([savedArchive(image, 'api:1')]))
  const content = chooseImage(seen, null).manifests[0]?.content ?? ''
  const { layers } = JSON.parse(content) as { layers: { mediaType: string }[] }
  const plain = 'application/vnd.docker.image.rootfs.diff.tar'
  t.same(
    layers.map(({ mediaType }) => mediaType),
    [plain, `${plain}.gzip`]
  )
})

t.test('of several images the one that was named is taken, however it is spelled', async (t) => {
  const [one, two] = [sampleImage(['1'], 'oci'), sampleImage(['2'], 'oci')]
  const seen = await survey(
    ...contentsOf(one),
    ...contentsOf(two),
    ...layout(describe(one, 'docker.io/library/api:1'), describe(two, 'docker.io/library/api:2'))
  )
  t.equal(chooseImage(seen, { repository: 'api', tag: '2' }).configDigest, two.configDigest)
  t.throws(() => chooseImage(seen, { repository: 'api', tag: '3' }), {
    code: 'image-unreadable',
    hints: [/api:1, docker.io\/library\/api:2/]
  })
  t.throws(() => chooseImage(seen, null), { code: 'image-unreadable' })
})

t.test('an image whose name is written in full and by its tag alone has one name', async (t) => {
  const image = sampleImage(['1'], 'oci')
  const annotations = {
    'io.containerd.image.name': 'docker.io/library/api:1',
    'org.opencontainers.image.ref.name': '1'
  }
  const seen = await survey(...contentsOf(image), ...layout({ ...describe(image), annotations }))
  t.same(namesIn(seen), ['docker.io/library/api:1'])
})

t.test('an index is pushed when all of it is there, else the only image that is', async (t) => {
  const images = [sampleImage(['a'], 'oci'), sampleImage(['b'], 'oci', 'arm64')]
  const [first, second] = images
  if (first === undefined || second === undefined) throw new Error('two images')
  const index = sampleIndex(images)
  const top = { mediaType: indexType, digest: index.digest, size: index.content.length }
  const whole = await survey(...images.flatMap(contentsOf), blob(index.content), ...layout(top))
  t.same(
    chooseImage(whole, null).manifests.map(({ digest }) => digest),
    [first.digest, second.digest, index.digest]
  )
  const part = await survey(...contentsOf(second), blob(index.content), ...layout(top))
  t.match(chooseImage(part, null), {
    configDigest: second.configDigest,
    manifests: [{ digest: second.digest }]
  })
})

t.test('what is missing or damaged is named', async (t) => {
  const image = sampleImage(['x'], 'oci')
  const without = contentsOf(image).slice(1)
  const missing = await survey(...without, ...layout(describe(image)))
  t.throws(() => chooseImage(missing, null), { message: /blobs\/sha256\/[0-9a-f]{64} is missing/ })
  const damaged = await survey(
    file(`blobs/sha256/${digestOf('x').slice(7)}`, 'y'),
    ...without,
    ...layout(describe(image))
  )
  t.throws(() => chooseImage(damaged, null), { message: /is damaged/ })
  await t.rejects(surveyArchive(Readable.from([Buffer.alloc(600, 'no tar')])), { code: 'image-unreadable' })
})

t.test('the progress fits into the terminal', async (t) => {
  const progress = { bytes: 50_000_000, ofBytes: 100_000_000, stored: 1, ofBlobs: 3, note: '' }
  t.equal(renderPush(progress, 80), '[###############---------------] 50.0 MB of 100 MB, 1 of 3 blobs')
  t.equal(renderPush(progress, 40), '50.0 MB of 100 MB, 1 of 3 blobs')
  t.equal(renderPush({ ...progress, note: 'reading the image' }, 10), 'reading t')
})

t.test('an archive that an engine sends is left in the middle, and why a visit failed is told', async (t) => {
  const files = ['a', 'b', 'c'].map((path) => ({ type: 'file' as const, path, content: Buffer.from(path) }))
  const engine = createServer((_request, response) => void response.end(packTar(files)))
  await once(engine.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => engine.close())
  const { port } = engine.address() as AddressInfo
  const download = async () => {
    const [answer] = (await once(get({ port, host: '127.0.0.1', agent: false }), 'response')) as [
      IncomingMessage
    ]
    return answer
  }
  const seen: string[] = []
  const look = (last: string) => async (header: { name: string }, content: Readable) => {
    // by then the rest has arrived, too
    seen.push(`${header.name} ${await text(content)}`)
    return header.name === last ? ('enough' as const) : ('next' as const)
  }
  await walkArchive(await download(), look('b'))
  t.same(seen, ['a a', 'b b'])
  await walkArchive(await download(), look('none'))
  t.same(seen.slice(2), ['a a', 'b b', 'c c'])
  const refuse = () => Promise.reject(new Error('the disk is full'))
  await t.rejects(walkArchive(await download(), refuse), { message: 'the disk is full' })
})

/** What a push says to a controller that answers so. */
const pushTo = async (t: Test, answer: RequestListener, reading: Buffer) => {
  const controller = createServer(answer)
  await once(controller.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => controller.close())
  const { port } = controller.address() as AddressInfo
  const settings = await readSettings({ LONGSHORE_TOKEN: 'x' }, `http://127.0.0.1:${port}`, () => {
    throw new Error('no file is read')
  })
  const chosen = chooseImage(await surveyArchive(Readable.from([large])), null)
  const interruptions: Error[] = []
  const nothing = () => {}
  const sent = sendImage(
    {
      client: createRegistryClient(settings),
      target: { repository: 'docker.io/library/api', tag: '1' },
      openImage: async () => Readable.from([reading]),
      watcher: {
        planned: nothing,
        moved: nothing,
        stored: nothing,
        interrupted: (error) => interruptions.push(error)
      },
      signal: new AbortController().signal
    },
    chosen
  )
  return { sent, interruptions }
}
const large = savedArchive(sampleImage([Buffer.alloc(1_000_000)]), 'api:1')

t.test('an image that breaks off while it is sent is no connection that was lost', async (t) => {
  const takesAll: RequestListener = (request, response) => {
    const answer = () =>
      response.writeHead(request.method === 'HEAD' ? 404 : 202, { location: '/upload' }).end()
    request.resume().once('end', answer)
  }
  const { sent, interruptions } = await pushTo(t, takesAll, large.subarray(0, 500_000))
  await t.rejects(sent, { code: 'image-unreadable', message: /Unexpected end of data/ })
  t.same(interruptions, [], 'it is not tried again')
})

t.test('a store that is away for a moment is waited for from the first question on', async (t) => {
  let isAway = true
  const away: RequestListener = ({ method }, response) => {
    if (!isAway) return void response.writeHead(method === 'HEAD' ? 200 : 201).end()
    isAway = method === 'HEAD'
    const errors = [{ code: 'STORE_UNAVAILABLE', message: 'the registry behind it is away' }]
    response.writeHead(503).end(JSON.stringify({ errors }))
  }
  const { sent, interruptions } = await pushTo(t, away, large)
  t.same(await sent, [])
  t.match(interruptions, [{ message: 'the registry behind it is away' }])
})
