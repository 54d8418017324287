import { digest } from '@longshore/protocol'
import t from 'tap'
import { readReference } from '../../../../packages/controller/src/core/images/image-path.ts'
import { createHolds } from '../../../../packages/controller/src/engine/hold-content.ts'
import type { DeploymentRow, ReleaseRow } from '../../../../packages/controller/src/ports.ts'
import { digestOf, indexType, sampleImage, sampleIndex } from '../../../support/image-samples.ts'
import { jenkins } from '../engine/engine-scene.ts'
import { graceMs, hub, openImages } from './images-scene.ts'

t.test('finds an image by tag and by digest, however its repository is spelled', async (t) => {
  const { images, push } = await openImages(t)
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
  const { images, push, putManifest } = await openImages(t)
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
  const { store, time, images, collect, push, stored } = await openImages(t)
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

t.test('what a deployment in progress needs stays, also a release that is kept no longer', async (t) => {
  const { store, time, images, collect, push } = await openImages(t)
  const old = sampleImage(['old'])
  await push(old.digest, old)
  const row = {
    id: 'dep_00000000000000000001',
    mode: 'deploy',
    service: 'api',
    environment: 'staging',
    what: { release: 1 },
    phase: 'staging',
    outcome: null,
    release: 1,
    generation: 9,
    requestedBy: 'test',
    requestReason: null,
    build: null,
    attemptOf: null,
    requestedAtMs: time.nowMs,
    endedAtMs: null,
    state: { parts: [{ service: 'api', repository: 'api', digest: old.digest }] }
  } as unknown as DeploymentRow
  await store.transaction((tx) => tx.putDeployment(row))
  time.nowMs += 2 * graceMs
  t.match(await collect(), { manifests: 0 })
  t.ok(await images.find('api', old.digest))
  await store.transaction((tx) => tx.putDeployment({ ...row, endedAtMs: time.nowMs }))
  time.nowMs += 2 * graceMs
  t.match(await collect(), { manifests: 1 })
})

t.test('a blob that a client was told to be there stays until its manifest comes', async (t) => {
  const { time, images, collect, putBlob, putManifest } = await openImages(t)
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
  const { time, images, collect, push, putManifest } = await openImages(t)
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

t.test('a push and the removal of what it needs wait for each other', async (t) => {
  let nowMs = 10
  const { hold, unlessHeld } = createHolds({ nowMs: () => nowMs })
  const blob = digest.parse(digestOf('blob'))
  const never = async (): Promise<boolean> => {
    throw new Error('it must not be removed')
  }
  const letGo = await hold([blob])
  t.equal(await unlessHeld(blob, 5, never), false, 'it is held')
  letGo()
  t.equal(await unlessHeld(blob, 5, never), false, 'it was held when others counted what is needed')
  nowMs = 20
  const removal = Promise.withResolvers<boolean>()
  const removing = unlessHeld(blob, 15, () => removal.promise)
  t.equal(await unlessHeld(blob, 15, never), false, 'it is being removed already')
  const order: string[] = []
  const holding = hold([blob]).then(() => order.push('held'))
  order.push('removed')
  removal.resolve(true)
  t.equal(await removing, true)
  await holding
  t.same(order, ['removed', 'held'])
})
