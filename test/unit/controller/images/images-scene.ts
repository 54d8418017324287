// The image store's engine on a real store and real files, with a clock that is moved by hand.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Digest, digest } from '@longshore/protocol'
import type { Test } from 'tap'
import { createBlobs } from '../../../../packages/controller/src/adapters/blobs/blob-files.ts'
import { imageFolderOf } from '../../../../packages/controller/src/adapters/blobs/image-folder.ts'
import { createUploads } from '../../../../packages/controller/src/adapters/blobs/upload-files.ts'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import { readReference } from '../../../../packages/controller/src/core/images/image-path.ts'
import { createImageCollector } from '../../../../packages/controller/src/engine/collect-images.ts'
import { createHolds } from '../../../../packages/controller/src/engine/hold-content.ts'
import { createImages } from '../../../../packages/controller/src/engine/images.ts'
import { createWriter } from '../../../../packages/controller/src/engine/writer.ts'
import type { Blobs } from '../../../../packages/controller/src/image-ports.ts'
import type { Clock } from '../../../../packages/controller/src/ports.ts'
import { digestOf, type SampleImage } from '../../../support/image-samples.ts'
import { furnish, jenkins } from '../engine/engine-scene.ts'

export const hub = 'docker.io/library/api'
export const graceMs = 60_000

/** @param blobsFor where content lies, instead of in files */
export const openImages = async (t: Test, blobsFor?: (clock: Clock) => Blobs) => {
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
  const blobs = blobsFor?.(clock) ?? createBlobs(folder, clock)
  const ports = {
    store,
    clock,
    writer: createWriter({ store, clock }),
    holds: createHolds(clock),
    blobs,
    uploads: createUploads(folder, blobs)
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
  return { store, time, images, blobs, collect, putBlob, putManifest, push, stored }
}
