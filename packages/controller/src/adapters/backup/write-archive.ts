// Writes a backup: to a name beside the target, synced, then in its place in one step; or to standard output. Files are
// read one after another and hashed on their way.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { link, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'
import { BackupError, type ContentFile, type Contents, contentsName } from './contents.ts'

export type ArchiveOptions = {
  /** `-`: standard output. */
  file: string
  isOverwritten: boolean
  /** Files by the name that they get. */
  files: readonly { name: string; path: string }[]
  about: Omit<Contents, 'format' | 'files'>
  /** Nothing is left of a backup that is interrupted. */
  signal: AbortSignal
}

/** @returns how large the files in it are together. @throws BackupError `backup-exists`, `backup-failed` */
export const writeArchive = async (options: ArchiveOptions): Promise<{ files: number; bytes: number }> => {
  if (options.file === '-') return writeTo(process.stdout, options)
  const { file } = options
  const former = await stat(file).catch(() => undefined)
  // a device, or a pipe, would be replaced by the file
  if (former !== undefined && !former.isFile())
    throw new BackupError('backup-failed', `${file} is no file; for standard output write -`)
  if (former !== undefined && !options.isOverwritten)
    throw new BackupError('backup-exists', `${file}; --force replaces it`)
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  try {
    const written = await writeTo(
      createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true }),
      options
    )
    // link() fails when the name is taken, unlike rename()
    await (options.isOverwritten ? rename(draft, file) : link(draft, file))
    await syncFolder(dirname(file))
    return written
  } catch (cause) {
    if (cause instanceof BackupError) throw cause
    throw new BackupError('backup-failed', cause instanceof Error ? cause.message : String(cause), { cause })
  } finally {
    await rm(draft, { force: true })
  }
}

const writeTo = async (
  target: Writable,
  { files, about, signal }: ArchiveOptions
): Promise<{ files: number; bytes: number }> => {
  const archive = pack()
  const isOwn = target !== process.stdout
  const failed = new Promise<never>((_, reject) => {
    target.once('error', reject)
    const interrupt = (): void => reject(new BackupError('backup-failed', 'it was interrupted'))
    if (signal.aborted) interrupt()
    else signal.addEventListener('abort', interrupt, { once: true })
  })
  archive.pipe(target, { end: isOwn })
  const work = async (): Promise<ContentFile[]> => {
    const added: ContentFile[] = []
    for (const { name, path } of files) {
      const one = await add(archive, name, path)
      if (one !== undefined) added.push(one)
    }
    const text = JSON.stringify({ format: 1, ...about, files: added } satisfies Contents)
    archive.entry({ name: contentsName, mode: 0o600 }, `${text}\n`)
    archive.finalize()
    if (isOwn) await finished(target)
    else {
      await once(archive, 'end')
      await new Promise<void>((resolve) => target.write('', () => resolve()))
    }
    return added
  }
  try {
    const added = await Promise.race([failed, work()])
    return { files: added.length, bytes: added.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
  } catch (error) {
    // what the archive says of it is only that it is closed
    const cause = target.errored ?? error
    archive.destroy()
    if (isOwn) await close(target)
    throw cause
  }
}

/** Until then a file that is about to be opened would be made anew after its removal. */
const close = async (target: Writable): Promise<void> => {
  target.destroy()
  if (!target.closed) await new Promise((resolve) => target.once('close', resolve))
}

/** @returns undefined for a blob of an image that nothing needs any more and that was removed meanwhile */
const add = async (archive: Pack, name: string, path: string): Promise<ContentFile | undefined> => {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && name.startsWith('images/')) return undefined
    throw error
  })
  if (file === undefined) return undefined
  const { size: sizeBytes, mtime } = await file.stat()
  const hash = createHash('sha256')
  // typed as if it were always there; not in an archive whose target is gone
  const entry: Writable | undefined = archive.entry({ name, size: sizeBytes, mode: 0o600, mtime })
  if (entry === undefined) {
    await file.close()
    throw new Error('the archive is closed')
  }
  const done = finished(entry)
  const content = createReadStream(path, { fd: file, highWaterMark: 1024 * 1024 })
  content.on('data', (chunk) => hash.update(chunk))
  content.on('error', (error) => archive.destroy(error))
  content.pipe(entry)
  try {
    await done
  } finally {
    // with the file
    content.destroy()
  }
  return { name, sizeBytes, sha256: hash.digest('hex') }
}

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Every blob of an image in the data directory, by the name that it gets. */
export const listBlobs = async (dataDir: string): Promise<{ name: string; path: string }[]> => {
  const top = join('images', 'blobs', 'sha256')
  const folders = await readdir(join(dataDir, top)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const found: { name: string; path: string }[] = []
  for (const folder of folders.toSorted())
    for (const blob of (await readdir(join(dataDir, top, folder))).toSorted())
      found.push({ name: `${top}/${folder}/${blob}`, path: join(dataDir, top, folder, blob) })
  return found
}
