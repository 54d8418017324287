// The files of the image store, on a real disk: uploads that break off, go on, lie or hang, and blobs that are removed
// only when nobody needs them.
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Digest, digest } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { createBlobs } from '../../../../packages/controller/src/adapters/blobs/blob-files.ts'
import { imageFolderOf } from '../../../../packages/controller/src/adapters/blobs/image-folder.ts'
import { createUploads } from '../../../../packages/controller/src/adapters/blobs/upload-files.ts'
import { digestOf } from '../../../support/image-samples.ts'

const open = async (t: Test, keepFreeBytes = 0) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'longshore-images-'))
  t.teardown(() => rm(dataDir, { recursive: true }))
  const time = { nowMs: Date.now() }
  const clock = {
    nowMs: () => time.nowMs,
    at: () => {
      throw new Error('not prepared')
    }
  }
  const folder = imageFolderOf({ dataDir, keepFreeBytes })
  const blobs = createBlobs(folder, clock)
  return { folder, time, blobs, uploads: createUploads(folder, blobs) }
}
async function* of(...chunks: string[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}
const named = (content: string): Digest => digest.parse(digestOf(content))

t.test('nothing is stored and nothing has to be there before the first upload', async (t) => {
  const { blobs, uploads } = await open(t)
  t.equal(await blobs.sizeOf(named('x')), undefined)
  t.equal(await blobs.open(named('x')), undefined)
  t.equal(await blobs.read(named('x'), 10), undefined)
  t.same(await blobs.unusedSince(Date.now()), [])
  t.equal(await uploads.expire(Date.now()), 0)
})

t.test('a piece that breaks off keeps what arrived, also for another process', async (t) => {
  const { folder, blobs, uploads } = await open(t)
  async function* broken() {
    yield Buffer.from('first ')
    throw new Error('the connection was lost')
  }
  const upload = await uploads.begin()
  await t.rejects(uploads.append(upload, broken(), null), { message: 'the connection was lost' })
  t.equal(await uploads.sizeOf(upload), 6)
  const later = createUploads(folder, blobs)
  await t.rejects(later.append(upload, of('x'), 3), { code: 'RANGE_INVALID' })
  t.equal(await later.append(upload, of('sec', 'ond'), 6), 12)
  await later.finish(upload, named('first second'))
  t.equal((await blobs.read(named('first second'), 100))?.toString(), 'first second')
  t.equal(await blobs.read(named('first second'), 5), undefined, 'too large to be read at once')
  await t.rejects(later.sizeOf(upload), { code: 'BLOB_UPLOAD_UNKNOWN' })
})

t.test('the end of an upload may be told again, by a client that did not wait for the answer', async (t) => {
  const { uploads } = await open(t)
  const upload = await uploads.begin()
  await uploads.append(upload, of('twice'), null)
  await Promise.all([uploads.finish(upload, named('twice')), uploads.finish(upload, named('twice'))])
  await uploads.finish(upload, named('twice'))
  await t.rejects(uploads.finish(upload, named('other')), { code: 'BLOB_UPLOAD_UNKNOWN' })
})

t.test('what was changed on the disk meanwhile does not become a blob', async (t) => {
  const { folder, blobs, uploads } = await open(t)
  const upload = await uploads.begin()
  await uploads.append(upload, of('good'), null)
  await writeFile(join(folder.uploads, upload), 'evil')
  await t.rejects(createUploads(folder, blobs).finish(upload, named('good')), { code: 'DIGEST_INVALID' })
  t.equal(await blobs.sizeOf(named('good')), undefined)
  t.same(await readdir(folder.uploads), [])
})

t.test('a piece that hangs is ended by the next one', async (t) => {
  const { uploads } = await open(t)
  const upload = await uploads.begin()
  const arrived = Promise.withResolvers<void>()
  async function* hanging() {
    yield Buffer.from('half')
    arrived.resolve()
    await new Promise(() => {})
  }
  const hung = t.rejects(uploads.append(upload, hanging(), null), { code: 'BLOB_UPLOAD_INVALID' })
  await arrived.promise
  t.equal(await uploads.append(upload, of(' and half'), 4), 13)
  await hung
  await uploads.finish(upload, named('half and half'))
})

t.test('of two who send the same piece at once one goes on, and the content stays right', async (t) => {
  const { blobs, uploads } = await open(t)
  const upload = await uploads.begin()
  const tries = await Promise.allSettled([
    uploads.append(upload, of('twin'), 0),
    uploads.append(upload, of('twin'), 0)
  ])
  t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
  await uploads.finish(upload, named('twin'))
  t.equal(await blobs.sizeOf(named('twin')), 4)
})

t.test('a disk without room refuses before anything is written', async (t) => {
  const { folder, uploads } = await open(t, Number.MAX_SAFE_INTEGER)
  await t.rejects(uploads.begin(), { code: 'STORAGE_FULL', message: /MiB free/ })
  t.same(await readdir(join(folder.uploads, '..')).catch(() => []), [])
})

t.test('no name leads out of the folder', async (t) => {
  const { uploads } = await open(t)
  for (const name of ['../../controller.db', '..', '', 'x'.repeat(36)])
    await t.rejects(uploads.append(name, of('x'), null), { code: 'BLOB_UPLOAD_UNKNOWN' }, name)
})

t.test('uploads that nobody goes on with expire, others stay', async (t) => {
  const { folder, uploads } = await open(t)
  const [old, young] = [await uploads.begin(), await uploads.begin()]
  const before = new Date(Date.now() - 60_000)
  await utimes(join(folder.uploads, old), before, before)
  t.equal(await uploads.expire(Date.now() - 30_000), 1)
  t.same(await readdir(folder.uploads), [young])
})

t.test('a blob is removed only when it is old and nobody asked for it', async (t) => {
  const { folder, time, blobs, uploads } = await open(t)
  const upload = await uploads.begin()
  await uploads.append(upload, of('blob'), null)
  await uploads.finish(upload, named('blob'))
  const path = folder.blobPath(named('blob'))
  t.same(await blobs.unusedSince(time.nowMs - 60_000), [], 'it is young')
  const before = new Date(time.nowMs - 120_000)
  await utimes(path, before, before)
  t.same(await blobs.unusedSince(time.nowMs - 60_000), [named('blob')])
  t.equal(await blobs.sizeOf(named('blob')), 4)
  t.equal(await blobs.removeUnused(named('blob'), time.nowMs - 60_000), false)
  t.equal((await readFile(path)).toString(), 'blob', 'somebody was told that it is here')
  time.nowMs += 120_000
  t.same(await blobs.unusedSince(time.nowMs - 60_000), [named('blob')])
  t.equal(await blobs.removeUnused(named('blob'), time.nowMs - 60_000), true)
  t.equal(await blobs.sizeOf(named('blob')), undefined)
})
