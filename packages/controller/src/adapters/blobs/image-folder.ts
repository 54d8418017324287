// Where the image store keeps its files below the data directory: `images/blobs/sha256/ab/HEX` for what is whole and
// right, `images/uploads/ID` for what is on its way. And what a full disk means, for both.
import { mkdir, open, readdir, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Digest } from '@longshore/protocol'
import { ImageError } from '../../core/images/image-error.ts'

export type ImageFolder = {
  blobs: string
  uploads: string
  blobPath(digest: Digest): string
  /** @throws ImageError `STORAGE_FULL` */
  demandRoom(): Promise<void>
}

/**
 * Makes nothing yet: a controller must start on a full disk too.
 * @param options.keepFreeBytes images leave so much of the disk to the database, which deployments need
 */
export const imageFolderOf = (options: { dataDir: string; keepFreeBytes: number }): ImageFolder => {
  const root = join(options.dataDir, 'images')
  const blobs = join(root, 'blobs', 'sha256')
  return {
    blobs,
    uploads: join(root, 'uploads'),
    blobPath: (digest) => {
      const hex = digest.slice('sha256:'.length)
      return join(blobs, hex.slice(0, 2), hex)
    },
    demandRoom: async () => {
      const { bavail, bsize } = await statfs(options.dataDir)
      const freeBytes = bavail * bsize
      if (freeBytes >= options.keepFreeBytes) return
      throw new ImageError(
        'STORAGE_FULL',
        `the disk of the controller has ${inMib(freeBytes)} free; images leave ${inMib(options.keepFreeBytes)} of it to everything else`
      )
    }
  }
}

const inMib = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MiB`

/** A file's name is on disk once its folder is: https://man7.org/linux/man-pages/man2/fsync.2.html */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Makes the folder of a file, and those above it, for good. */
export const makeFolderOf = async (path: string): Promise<void> => {
  const folder = dirname(path)
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

/** What lies in a folder; one that was not made yet is empty. */
export const listFolder = async (path: string): Promise<string[]> => {
  try {
    return await readdir(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined

const fullCodes: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT']

/** A full disk as the refusal that it is; everything else as it came. */
export const asRefusal = (error: unknown): unknown =>
  fullCodes.includes(codeOf(error))
    ? new ImageError('STORAGE_FULL', 'the disk of the controller is full; nothing of this was stored', {
        cause: error
      })
    : error
