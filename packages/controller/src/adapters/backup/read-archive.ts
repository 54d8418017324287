// Unpacks a backup into an empty data directory: first into a folder of its own, everything compared with what the
// archive says of itself; then into place, the signing key last, without which nothing starts. An attempt that was
// killed is begun anew.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract, type Headers } from 'tar-stream'
import {
  BackupError,
  type ContentFile,
  type Contents,
  contents,
  contentsName,
  isOfBackup
} from './contents.ts'

/** Where a restore works, in the data directory. */
const draftName = '.longshore-restore'
const keyName = 'signing-key.json'
/** What a restore that was killed can have left: the key comes last. */
const leftNames = [draftName, 'controller.db', 'sealing-key.json', 'images']
const maxContentsBytes = 64 * 1024 * 1024

export type Unpacked = {
  /** A data directory like any other. */
  folder: string
  about: Contents
  /** Makes it the data directory; to be called once. */
  settle(): Promise<void>
  /** Leaves the directory as empty as it was. */
  discard(): Promise<void>
}

/**
 * @param file `-`: standard input
 * @throws BackupError `not-empty`, `backup-unreadable`
 */
export const unpackArchive = async (file: string, dataDir: string): Promise<Unpacked> => {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await demandEmpty(dataDir)
  await chmod(dataDir, 0o700)
  const folder = join(dataDir, draftName)
  await mkdir(folder, { mode: 0o700 })
  const discard = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    const about = await unpack(file === '-' ? process.stdin : createReadStream(file), folder)
    return { folder, about, settle: () => settle(folder, dataDir), discard }
  } catch (cause) {
    await discard()
    if (cause instanceof BackupError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new BackupError('backup-unreadable', why, { cause })
  }
}

/** What a killed restore left is removed: it began in an empty directory, and nothing starts without the key. */
const demandEmpty = async (dataDir: string): Promise<void> => {
  const names = await readdir(dataDir)
  if (names.length === 0) return
  const isOurs = names.includes(draftName) && names.every((name) => leftNames.includes(name))
  if (!isOurs) throw new BackupError('not-empty', `${dataDir} holds ${names.slice(0, 5).join(', ')}`)
  for (const name of names) await rm(join(dataDir, name), { recursive: true })
}

const unpack = async (source: Readable, folder: string): Promise<Contents> => {
  const found: ContentFile[] = []
  const told: { contents?: Contents } = {}
  const take = async ({ name, type }: Headers, content: Readable): Promise<void> => {
    if (told.contents !== undefined || type !== 'file') throw unreadable(`${name} has no place in it`)
    if (name === contentsName) {
      told.contents = contents.parse(JSON.parse(await text(content)))
      return
    }
    if (!isOfBackup(name) || found.some((one) => one.name === name)) {
      throw unreadable(`${name} has no place in it`)
    }
    found.push({ name, ...(await store(content, join(folder, name))) })
  }
  const archive = extract()
  archive.on('entry', (header, content, next) => {
    if (header.name === contentsName && (header.size ?? 0) > maxContentsBytes)
      return next(unreadable('too long'))
    // typed as a PassThrough of Node, it is one of readable-stream: the same as far as it is used here
    take(header, content as Readable).then(() => next(), next)
  })
  await pipeline(source, archive)
  if (told.contents === undefined) throw unreadable('it ends too early')
  compare(found, told.contents.files)
  return told.contents
}

const unreadable = (why: string): BackupError => new BackupError('backup-unreadable', why)

const compare = (found: readonly ContentFile[], told: readonly ContentFile[]): void => {
  const by = new Map(found.map((one) => [one.name, one]))
  for (const { name, sizeBytes, sha256 } of told) {
    const one = by.get(name)
    if (one?.sizeBytes !== sizeBytes || one.sha256 !== sha256)
      throw unreadable(`${name} is not what was saved`)
  }
  if (found.length !== told.length) throw unreadable('it holds more than was saved')
  for (const name of ['controller.db', keyName])
    if (!by.has(name)) throw unreadable(`there is no ${name} in it`)
}

const store = async (content: Readable, path: string): Promise<Omit<ContentFile, 'name'>> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const hash = createHash('sha256')
  let sizeBytes = 0
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true })
  const counted = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      hash.update(chunk)
      sizeBytes += chunk.length
      yield chunk
    }
  }
  await pipeline(content, counted, file)
  return { sizeBytes, sha256: hash.digest('hex') }
}

const settle = async (folder: string, dataDir: string): Promise<void> => {
  const names = (await readdir(folder)).filter((name) => name !== keyName)
  await syncFolder(folder)
  for (const name of [...names, keyName]) {
    // whatever came before it is in its place for good
    if (name === keyName) await syncFolder(dataDir)
    await rename(join(folder, name), join(dataDir, name))
  }
  await rm(folder, { recursive: true })
  await syncFolder(dataDir)
}

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
