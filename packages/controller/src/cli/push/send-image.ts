// Sends what the controller lacks of an image: asks for each blob first, reads the archive once more and sends the
// missing ones from it. When the controller goes away meanwhile, it goes on where the controller says that it stopped.
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { CliError, isPassing, ProblemError } from '../cli-errors.ts'
import type { Blob, Chosen } from './choose-image.ts'
import type { OpenImage } from './open-image.ts'
import type { RegistryClient } from './registry-client.ts'
import { pathOf } from './survey-archive.ts'
import { walkArchive } from './walk-archive.ts'

/** So long a controller may be away, counted from the last byte that it took: a restart is over in seconds. */
const giveUpAfterMs = 120_000
const retryAfterMs = 1_000

export type PushWatcher = {
  /** What has to be sent, of all. */
  planned(missing: readonly Blob[], all: readonly Blob[]): void
  /** So much of a blob has gone out; less than before when some of it has to be sent again. */
  moved(blob: Blob, bytes: number): void
  stored(blob: Blob): void
  interrupted(error: Error): void
}
export type PushTarget = { repository: string; tag: string }
type Work = {
  client: RegistryClient
  target: PushTarget
  openImage: OpenImage
  watcher: PushWatcher
  signal: AbortSignal
}

/** @returns the blobs that were sent */
export async function sendImage(work: Work, chosen: Chosen): Promise<Blob[]> {
  const { client, target, signal, watcher } = work
  const missing = new Map<string, Blob>()
  for (const blob of chosen.blobs) {
    const has = () => client.hasBlob(target.repository, blob.digest, signal)
    if (!(await untilThrough(work, { movedAtMs: performance.now() }, has))) missing.set(blob.path, blob)
  }
  const sent = [...missing.values()]
  watcher.planned(sent, chosen.blobs)
  await sendMissing(work, missing)
  for (const [at, manifest] of chosen.manifests.entries()) {
    const reference = at === chosen.manifests.length - 1 ? target.tag : manifest.digest
    await untilThrough(work, { movedAtMs: performance.now() }, () =>
      client.putManifest(target.repository, reference, manifest, signal)
    )
  }
  return sent
}

const sendMissing = async (work: Work, missing: Map<string, Blob>): Promise<void> => {
  const uploads = new Map<string, string>()
  const pace = { movedAtMs: performance.now() }
  const moved = (blob: Blob, bytes: number): void => {
    pace.movedAtMs = performance.now()
    work.watcher.moved(blob, bytes)
  }
  const watched = { ...work, watcher: { ...work.watcher, moved } }
  if (missing.size > 0) await untilThrough(work, pace, () => readOnce(watched, missing, uploads))
}

/** Again and again while the controller is away, but not for ever. */
const untilThrough = async <T>(
  { watcher, signal }: Work,
  pace: { movedAtMs: number },
  step: () => Promise<T>
): Promise<T> => {
  let toldAtMs = -1
  for (;;) {
    try {
      return await step()
    } catch (error) {
      const isOver = performance.now() - pace.movedAtMs > giveUpAfterMs
      if (isOver || signal.aborted || !isAway(error) || !(error instanceof Error)) throw error
      // once, not with every try
      if (toldAtMs !== pace.movedAtMs) watcher.interrupted(error)
      toldAtMs = pace.movedAtMs
      await wait(retryAfterMs, undefined, { signal })
    }
  }
}

/** A full disk does not pass while the image is sent again and again. */
const isAway = (error: unknown): boolean =>
  isPassing(error) && !(error instanceof ProblemError && error.problem.status === 507)

/** One reading of the archive; what was sent is taken from `missing`. */
const readOnce = async (
  work: Work,
  missing: Map<string, Blob>,
  uploads: Map<string, string>
): Promise<void> => {
  const source = await work.openImage()
  await walkArchive(source, async (header, content) => {
    const path = pathOf(header.name)
    const blob = missing.get(path)
    // a tar may have a path twice: the last one counts, and the size of another one would not come to what was announced
    if (blob === undefined || header.size !== blob.sizeBytes) return 'next'
    await sendBlob(work, blob, content, uploads)
    missing.delete(path)
    work.watcher.stored(blob)
    return missing.size === 0 ? 'enough' : 'next'
  })
  if (missing.size > 0) throw new CliError('image-unreadable', 'the image changed while it was read')
}

const sendBlob = async (
  { client, target, watcher, signal }: Work,
  blob: Blob,
  content: Readable,
  uploads: Map<string, string>
): Promise<void> => {
  const former = uploads.get(blob.digest)
  const arrived = former === undefined ? null : await client.uploadedBytes(former, signal)
  const upload =
    former !== undefined && arrived !== null ? former : await client.beginUpload(target.repository, signal)
  uploads.set(blob.digest, upload)
  const offset = arrived ?? 0
  if (blob.sizeBytes > offset) {
    const rest = Readable.from(
      skipping(content, offset, (bytes) => watcher.moved(blob, bytes)),
      {
        objectMode: false
      }
    )
    await client.sendPiece(upload, { content: rest, offset, sizeBytes: blob.sizeBytes }, signal)
  }
  await client.finishUpload(upload, blob.digest, signal)
}

/** What follows the first `offset` bytes. @param passed is told the position after each chunk that went out */
async function* skipping(
  content: AsyncIterable<Buffer>,
  offset: number,
  passed: (position: number) => void
): AsyncGenerator<Buffer> {
  let position = 0
  for await (const chunk of content) {
    const rest = chunk.subarray(Math.max(0, offset - position))
    position += chunk.length
    if (rest.length === 0) continue
    yield rest
    passed(position)
  }
}
