// Uploads as files that grow, each with the hash of what it has; after a restart the hash is made anew from the file.
// At the end the hash decides: the store of blobs takes the file, or it is removed.
import { createHash, type Hash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Digest } from '@longshore/protocol'
import { ImageError } from '../../core/images/image-error.ts'
import type { Blobs, Uploads } from '../../image-ports.ts'
import { asRefusal, codeOf, type ImageFolder, listFolder, makeFolderOf } from './image-folder.ts'
import { createTurns, type Turn } from './upload-turns.ts'

/** How often the room on the disk is looked at. */
const lookEveryBytes = 16 * 1024 * 1024

/** Written at once: chunks of a socket are 64 KiB, and each write costs a turn of the thread pool. */
const writeBytes = 1024 * 1024

type Hashed = { hash: Hash; sizeBytes: number }

export const createUploads = (
  folder: ImageFolder,
  blobs: Pick<Blobs, 'take' | 'demandReady' | 'sizeOf'>
): Uploads => {
  const turns = createTurns()
  const known = new Map<string, Hashed>()
  const forget = async (upload: string): Promise<void> => {
    known.delete(upload)
    await rm(pathOf(folder, upload), { force: true })
  }
  const hashedOf = async (upload: string): Promise<Hashed> => {
    const path = pathOf(folder, upload)
    const sizeBytes = await sizeOf(path)
    const state = known.get(upload)
    if (state?.sizeBytes === sizeBytes) return state
    const made = await hashFile(path, sizeBytes)
    known.set(upload, made)
    return made
  }
  /** Whoever did not wait for the answer asks again, and hears what it was. */
  const isFinished = async (upload: string, digest: Digest): Promise<boolean> => {
    try {
      await sizeOf(pathOf(folder, upload))
      return false
    } catch (error) {
      const isGone = error instanceof ImageError && error.code === 'BLOB_UPLOAD_UNKNOWN'
      if (isGone && (await blobs.sizeOf(digest)) !== undefined) return true
      throw error
    }
  }
  return {
    begin: async () => {
      await folder.demandRoom()
      await blobs.demandReady()
      const upload = randomUUID()
      const path = pathOf(folder, upload)
      await makeFolderOf(path).catch(refuse)
      const file = await open(path, 'wx', 0o600).catch(refuse)
      await file.close()
      return upload
    },
    sizeOf: (upload) => sizeOf(pathOf(folder, upload)),
    append: (upload, piece, offset) =>
      turns.take(upload, async (turn) => {
        const state = await hashedOf(upload)
        if (offset !== null && offset !== state.sizeBytes) {
          throw new ImageError('RANGE_INVALID', `the upload has ${state.sizeBytes} bytes so far`)
        }
        try {
          await write({ folder, path: pathOf(folder, upload), state, turn }, piece)
          return state.sizeBytes
        } catch (error) {
          // what was written stays for the next piece, but a full disk gets its room back
          const refusal = asRefusal(error)
          if (refusal instanceof ImageError && refusal.code === 'STORAGE_FULL') await forget(upload)
          throw refusal
        }
      }),
    finish: (upload, digest) =>
      turns.take(upload, async () => {
        if (await isFinished(upload, digest)) return
        const { hash, sizeBytes } = await hashedOf(upload)
        const found = `sha256:${hash.copy().digest('hex')}`
        if (found !== digest) {
          await forget(upload)
          throw new ImageError('DIGEST_INVALID', `what was sent is ${found}, not ${digest}`)
        }
        await blobs.take(digest, { path: pathOf(folder, upload), sizeBytes }).catch(refuse)
        await forget(upload)
      }),
    cancel: (upload) =>
      turns.take(upload, async () => {
        await sizeOf(pathOf(folder, upload))
        await forget(upload)
      }),
    expire: async (beforeMs) => {
      let count = 0
      for (const name of await listFolder(folder.uploads)) {
        const status = await stat(join(folder.uploads, name)).catch(() => undefined)
        if (status === undefined || status.mtimeMs >= beforeMs || turns.isTaken(name)) continue
        await forget(name)
        count++
      }
      return count
    }
  }
}

const refuse = (error: unknown): never => {
  throw asRefusal(error)
}

/** @throws ImageError `BLOB_UPLOAD_UNKNOWN` for what is no id of ours: a path is made of it */
const pathOf = (folder: ImageFolder, upload: string): string => {
  if (!/^[0-9a-f-]{36}$/.test(upload)) throw new ImageError('BLOB_UPLOAD_UNKNOWN')
  return join(folder.uploads, upload)
}

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size
  } catch (error) {
    throw codeOf(error) === 'ENOENT' ? new ImageError('BLOB_UPLOAD_UNKNOWN') : error
  }
}

const hashFile = async (path: string, sizeBytes: number): Promise<Hashed> => {
  const hash = createHash('sha256')
  if (sizeBytes > 0) {
    for await (const chunk of createReadStream(path, { end: sizeBytes - 1, highWaterMark: 1024 * 1024 }))
      hash.update(chunk as Buffer)
  }
  return { hash, sizeBytes }
}

type Writing = { folder: ImageFolder; path: string; state: Hashed; turn: Turn }

const write = async (writing: Writing, piece: AsyncIterable<Uint8Array>): Promise<void> => {
  const { folder, path, state, turn } = writing
  const file = await open(path, 'r+')
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  const flush = async (): Promise<void> => {
    const content = Buffer.concat(waiting)
    waiting = []
    waitingBytes = 0
    await writeAll(file, content, state.sizeBytes)
    state.hash.update(content)
    state.sizeBytes += content.length
  }
  let looked = state.sizeBytes
  try {
    for await (const chunk of turn.until(piece)) {
      if (state.sizeBytes - looked >= lookEveryBytes) {
        looked = state.sizeBytes
        await folder.demandRoom()
      }
      waiting.push(chunk)
      waitingBytes += chunk.length
      if (waitingBytes >= writeBytes) await flush()
    }
  } finally {
    // also of a piece that breaks off: its client goes on behind it
    await flush().finally(() => file.close())
  }
}

const writeAll = async (file: FileHandle, chunk: Uint8Array, position: number): Promise<void> => {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done)
    done += bytesWritten
  }
}
