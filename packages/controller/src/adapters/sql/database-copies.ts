// Copies of the database for backups, beside it: made when there is room, removed when they were read, and at the next
// start what a killed process left of them.
import { randomBytes } from 'node:crypto'
import { readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

export type DatabaseCopy = { path: string; remove(): Promise<void> }

const namePattern = /^copy-[0-9a-f]{12}\.db/

/**
 * @param make writes the copy
 * @param keepFreeBytes so much of the disk is left to the database itself
 */
export const makeCopy = async (
  dataDir: string,
  keepFreeBytes: number,
  make: (path: string) => Promise<void>
): Promise<DatabaseCopy> => {
  const { size } = await stat(join(dataDir, 'controller.db'))
  const { bavail, bsize } = await statfs(dataDir)
  if (bavail * bsize < size + keepFreeBytes)
    throw new Error(`the disk under ${dataDir} has no room for a copy of the database`)
  const name = `copy-${randomBytes(6).toString('hex')}.db`
  const remove = (): Promise<void> => removeFiles(dataDir, (one) => one.startsWith(name))
  try {
    await make(join(dataDir, name))
  } catch (error) {
    await remove()
    throw error
  }
  return { path: join(dataDir, name), remove }
}

/** To be called by whoever holds the database. */
export const removeCopies = (dataDir: string): Promise<void> =>
  removeFiles(dataDir, (name) => namePattern.test(name))

const removeFiles = async (dataDir: string, isMeant: (name: string) => boolean): Promise<void> => {
  for (const name of (await readdir(dataDir)).filter(isMeant)) await rm(join(dataDir, name), { force: true })
}
