// Blobs as files named by their digest. A file appears there only by the rename of a checked one, so that whatever is
// found is whole. What nobody refers to is removed by digest, unless somebody asked for it lately.
import { statSync, unlinkSync } from 'node:fs'
import { type FileHandle, open, rename, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Digest, digest } from '@longshore/protocol'
import type { Blobs, OpenBlob } from '../../image-ports.ts'
import type { Clock } from '../../ports.ts'
import { codeOf, type ImageFolder, listFolder, makeFolderOf, syncFolder } from './image-folder.ts'
import { pourFile } from './pour-file.ts'

/** Read at once: each read costs a turn of the thread pool. */
const readBytes = 512 * 1024

export const createBlobs = (folder: ImageFolder, clock: Clock): Blobs => {
  /** When somebody last asked for a blob: who heard that it is here sends a manifest next. */
  const askedAtMs = new Map<Digest, number>()
  const isUnused = (blob: Digest, mtimeMs: number, beforeMs: number): boolean =>
    mtimeMs < beforeMs && (askedAtMs.get(blob) ?? 0) < beforeMs

  const openIt = async (blob: Digest): Promise<OpenBlob | undefined> => {
    askedAtMs.set(blob, clock.nowMs())
    const file = await open(folder.blobPath(blob)).catch(absent)
    if (file === undefined) return undefined
    const { size } = await statOf(file)
    return {
      sizeBytes: size,
      stream: async (range) =>
        file.createReadStream({
          highWaterMark: readBytes,
          ...(range === null ? {} : { start: range.first, end: range.last })
        }),
      pour: (into, range) => pourFile(file, into, range ?? { first: 0, last: size - 1 }),
      close: () => file.close()
    }
  }
  return {
    // marked before it is looked for: removeUnused finds either the mark or nothing left to say
    sizeOf: async (blob) => {
      askedAtMs.set(blob, clock.nowMs())
      return (await stat(folder.blobPath(blob)).catch(absent))?.size
    },
    open: openIt,
    read: async (blob, maxBytes) => {
      const file = await open(folder.blobPath(blob)).catch(absent)
      if (file === undefined) return undefined
      try {
        return (await file.stat()).size > maxBytes ? undefined : await file.readFile()
      } finally {
        await file.close()
      }
    },
    // uploads look at the room on the disk themselves
    demandReady: async () => {},
    take: (blob, { path }) => store(path, folder.blobPath(blob)),
    // the database has it
    takeManifest: async () => {},
    unusedSince: async (beforeMs) => {
      for (const [blob, atMs] of askedAtMs) if (atMs < beforeMs) askedAtMs.delete(blob)
      const found: Digest[] = []
      for (const shard of await listFolder(folder.blobs)) {
        for (const name of await listFolder(join(folder.blobs, shard))) {
          const blob = digest.safeParse(`sha256:${name}`)
          if (!blob.success) continue
          const status = await stat(folder.blobPath(blob.data)).catch(absent)
          if (status !== undefined && isUnused(blob.data, status.mtimeMs, beforeMs)) found.push(blob.data)
        }
      }
      return found
    },
    // never waits, so that nobody can ask meanwhile
    removeUnused: async (blob, beforeMs) => {
      const path = folder.blobPath(blob)
      const status = statSync(path, { throwIfNoEntry: false })
      if (status === undefined || !isUnused(blob, status.mtimeMs, beforeMs)) return false
      unlinkSync(path)
      return true
    }
  }
}

const statOf = async (file: FileHandle) => {
  try {
    return await file.stat()
  } catch (error) {
    await file.close()
    throw error
  }
}

const absent = (error: unknown): undefined => {
  if (codeOf(error) !== 'ENOENT') throw error
}

/** Content first, then its name: a crash in between leaves an upload, never a blob that is not whole. */
const store = async (from: string, to: string): Promise<void> => {
  const file = await open(from, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
  await makeFolderOf(to)
  // as a blob it begins its life now, however slowly it came
  const now = new Date()
  await utimes(from, now, now)
  await rename(from, to)
  await syncFolder(dirname(to))
}
