// The image store's engine on a real store and real files: what is found for a deployment, what is removed in time, and
// what a push beside that may rely on.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Digest, digest } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { createBlobs } from '../../../../packages/controller/src/adapters/blobs/blob-files.ts'
import { imageFolderOf } from '../../../../packages/controller/src/adapters/blobs/image-folder.ts'
import { createUploads } from '../../../../packages/controller/src/adapters/blobs/upload-files.ts'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import { readReference } from '../../../../packages/controller/src/core/images/image-path.ts'
import { createImageCollector } from '../../../../packages/controller/src/engine/collect-images.ts'
import { createImages } from '../../../../packages/controller/src/engine/images.ts'
import { createWriter } from '../../../../packages/controller/src/engine/writer.ts'
import type { ReleaseRow } from '../../../../packages/controller/src/ports.ts'
import {
  digestOf,
  indexType,
  type SampleImage,
  sampleImage,
  sampleIndex
} from '../../../support/image-samples.ts'
import { furnish, jenkins } from '../engine/engine-scene.ts'

const hub = 'docker.io/library/api'
const graceMs = 60_000

const open = async (t: Test) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'longshore-images-'))
  const store = await openStore({ path: ':memory:' })
  t.teardown(async () => {
    await store.close()
    await rm(dataDir, { recursive: true })
  })
  await furnish(store, ['a'])
  // file times are the system's: the scene's clock begins there and is moved by hand
  const time = { nowMs: Date.now() }
  const clock = {
    nowMs: () => time.nowMs,
    at: () => {
      throw new Error('not prepared')
    }
  }
  const folder = imageFolderOf({ dataDir, keepFreeBytes: 0 })
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const ports = {
    store,
    clock,
    writer: createWriter({ store, clock }),
    blobs: createBlobs(folder, clock),
    uploads: createUploads(folder)
  }
  const images = createImages(ports)
  const { collect } = createImageCollector({ ...ports, steadyClock: clock, log, graceMs })
  const putBlob = async (content: Buffer): Promise<void> => {
    const upload = await images.uploads.begin()
    await images.uploads.append(
      upload,
      (async function* () {
        yield content
      })(),
      null
    )
    await images.uploads.finish(upload, digest.parse(digestOf(content)))
  }
  const putManifest = (reference: string, mediaType: string, content: Buffer) =>
    images.putManifest(jenkins, { repository: hub, reference: readReference(reference), mediaType, content })
  const push = async (reference: string, image: SampleImage): Promise<Digest> => {
    for (const blob of [...image.layers, image.config]) await putBlob(blob)
    return putManifest(reference, image.mediaType, image.manifest)
  }
  const stored = async (): Promise<number> => {
    const shards = await readdir(folder.blobs)
    const names = await Promise.all(shards.map((shard) => readdir(join(folder.blobs, shard))))
    return names.flat().length
  }
  return { store, time, images, collect, putBlob, putManifest, push, stored }
}

t.test('finds an image by tag and by digest, however its repository is spelled', async (t) => {
  const { images, push } = await open(t)
  const image = sampleImage(['one', 'two'])
  const found = await push('1.0', image)
  const artifact = {
    repository: hub,
    digest: image.digest,
    mediaType: image.mediaType,
    platforms: [
      {
        platform: 'linux/amd64',
        digest: image.digest,
        configDigest: image.configDigest,
        diffIds: [digestOf('one'), digestOf('two')],
        sizeBytes: 6
      }
    ]
  }
  t.same(await images.find('api', '1.0'), artifact)
  t.same(await images.find('docker.io/library/api', found), artifact)
  t.equal(await images.find('api', '2.0'), undefined)
  t.equal(await images.find('other', '1.0'), undefined)
  await t.rejects(images.find('api', 'not a tag'), { code: 'MANIFEST_INVALID' })
})

t.test('finds every platform of an index', async (t) => {
  const { images, push, putManifest } = await open(t)
  const parts = [
    sampleImage(['x'], 'oci'),
    sampleImage(['y'], 'oci', 'arm64'),
    sampleImage(['z'], 'oci', 'unknown')
  ]
  for (const part of parts) await push(part.digest, part)
  const index = sampleIndex(parts)
  await putManifest('1', indexType, index.content)
  const found = await images.find('api', '1')
  t.equal(found?.digest, index.digest)
  t.same(
    found?.platforms.map(({ platform, digest }) => [platform, digest]),
    parts.map(({ digest }, at) => [['linux/amd64', 'linux/arm64', 'linux/unknown'][at], digest])
  )
})

t.test('removes in time what nothing needs, and keeps what a release may go back to', async (t) => {
  const { store, time, images, collect, push, stored } = await open(t)
  const [tagged, loose, released] = [sampleImage(['t']), sampleImage(['l']), sampleImage(['r'])]
  await push('1', tagged)
  await push(loose.digest, loose)
  const digestOfRelease = await push(released.digest, released)
  await store.transaction((tx) =>
    tx.putRelease({
      service: 'api',
      environment: 'staging',
      number: 1,
      repository: 'api',
      tag: '7',
      digest: digestOfRelease,
      specRevision: 1,
      deployment: 'dep_00000000000000000001',
      outcome: null,
      createdAtMs: 0,
      createdBy: 'test'
    } as ReleaseRow)
  )
  t.same(await collect(), { uploads: 0, manifests: 0, blobs: 0 }, 'all of it is young')
  t.equal(await stored(), 6)
  time.nowMs += 2 * graceMs
  t.same(await collect(), { uploads: 0, manifests: 1, blobs: 2 })
  t.ok(await images.find('api', '1'))
  t.ok(await images.find('api', released.digest))
  t.equal(await images.find('api', loose.digest), undefined)
  await images.remove(jenkins, hub, readReference('1'))
  t.same(await collect(), { uploads: 0, manifests: 1, blobs: 2 })
  t.equal(await stored(), 2)
})

t.test('a blob that a client was told to be there stays until its manifest comes', async (t) => {
  const { time, images, collect, putBlob, putManifest } = await open(t)
  const image = sampleImage(['old layer'])
  const blobs = [...image.layers, image.config].map((content) => digest.parse(digestOf(content)))
  for (const content of [...image.layers, image.config]) await putBlob(content)
  time.nowMs += 2 * graceMs
  for (const blob of blobs) t.ok(await images.blobs.sizeOf(blob))
  t.same(await collect(), { uploads: 0, manifests: 0, blobs: 0 })
  await putManifest('1', image.mediaType, image.manifest)
  time.nowMs += 2 * graceMs
  t.same(await collect(), { uploads: 0, manifests: 0, blobs: 0 })
})

t.test('whatever is pushed while garbage is collected is whole afterwards, or refused', async (t) => {
  const { time, images, collect, push, putManifest } = await open(t)
  const shared = ['s1', 's2']
  for (let round = 0; round < 10; round += 1) {
    const image = sampleImage([...shared, `own ${round}`])
    const [tagged] = await Promise.all([push(`r${round}`, image), collect(), collect()])
    time.nowMs += 2 * graceMs
    const again = await Promise.allSettled([
      collect(),
      putManifest('again', image.mediaType, image.manifest),
      images.remove(jenkins, hub, readReference(`r${round}`)),
      collect()
    ])
    t.ok(again.every(({ status }) => status === 'fulfilled'))
    const found = await images.find('api', 'again')
    t.equal(found?.digest, tagged)
    for (const layer of image.layers)
      t.ok(await images.blobs.sizeOf(digest.parse(digestOf(layer))), `round ${round}`)
    time.nowMs += 2 * graceMs
  }
})
