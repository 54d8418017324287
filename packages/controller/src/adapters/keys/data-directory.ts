// The controller's data directory: made for its owner alone, holding the signing key (a private JWK, mode 0600)
// and the database file; sealing-key.ts adds its own. Anything that others can read is refused, not repaired: it may
// have been read already.
import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { generateSigningKey, importSigningKey, type SigningKey } from '@longshore/protocol'

export const dataErrors = {
  'data-missing': 'there is no data directory of a controller',
  'data-exists': 'the data directory is in use already; nothing was changed',
  'data-permissions': 'the data directory or the key can be read by others',
  'data-unusable': 'the data directory cannot be used',
  'key-unusable': 'the signing key cannot be used'
} as const satisfies Record<string, string>
export type DataErrorCode = keyof typeof dataErrors

export class DataError extends Error {
  override readonly name = 'DataError'
  readonly code: DataErrorCode

  constructor(code: DataErrorCode, detail: string, options?: ErrorOptions) {
    super(`${dataErrors[code]}: ${detail}`, options)
    this.code = code
  }
}

export const databasePath = (dataDir: string): string => join(dataDir, 'controller.db')
const keyPath = (dataDir: string): string => join(dataDir, 'signing-key.json')

/**
 * Makes the directory and a new key in it; the key appears whole or not at all, and never over another one. A key
 * that is there already is taken: an earlier attempt may have come no further.
 * @throws DataError `data-exists`, `data-permissions`, `data-unusable`, `key-unusable`
 */
export const prepareDataDirectory = async (dataDir: string): Promise<SigningKey> => {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch(unusable(dataDir))
  if (await isThere(keyPath(dataDir))) return readSigningKey(dataDir)
  const database = databasePath(dataDir)
  if (await isThere(database)) {
    throw new DataError('data-exists', `${database} has no signing-key.json beside it; restore that one`)
  }
  await chmod(dataDir, 0o700).catch(unusable(dataDir))
  const { key, privateJwk } = await generateSigningKey()
  await writeOnce(keyPath(dataDir), `${JSON.stringify(privateJwk)}\n`).catch(unusable(dataDir))
  return key
}

/** Drafts of the keys that a killed attempt left. To be called by whoever holds the database. */
export const removeKeyDrafts = async (dataDir: string): Promise<void> => {
  const drafts = (await readdir(dataDir)).filter((name) =>
    /^(?:signing|sealing)-key\.json\.[0-9a-f]{12}$/.test(name)
  )
  await Promise.all(drafts.map((name) => rm(join(dataDir, name), { force: true })))
}

/** Names of the key files that are there. */
export const listKeys = async (dataDir: string): Promise<string[]> =>
  (await readdir(dataDir)).filter((name) => /^(?:signing|sealing)-key\.json$/.test(name)).toSorted()

/** @throws DataError `data-missing`, `data-permissions`, `key-unusable` */
export const readSigningKey = async (dataDir: string): Promise<SigningKey> => {
  const path = keyPath(dataDir)
  await demandPrivate(dataDir)
  await demandPrivate(path)
  try {
    return await importSigningKey(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // the cause may quote the key
    throw new DataError('key-unusable', `${path} is not readable as an Ed25519 private JWK`)
  }
}

/** @throws DataError `data-missing`, `data-permissions`, `data-unusable` */
export const demandPrivate = async (path: string): Promise<void> => {
  const status = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT')
      throw new DataError('data-unusable', `${path}: ${cause.code ?? cause.message}`, { cause })
    throw new DataError('data-missing', `${path} does not exist; run \`longshore controller init\` first`)
  })
  if ((status.mode & 0o077) === 0) return
  const mode = status.isDirectory() ? '0700' : '0600'
  throw new DataError(
    'data-permissions',
    `${path}: chmod it to ${mode} once it is certain that nobody read it`
  )
}

export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false
  )

/** A private file, whole or not at all, never over another one: link() fails when the name is taken, unlike rename(). */
export const writeOnce = async (path: string, text: string): Promise<void> => {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
    await file.close()
    await link(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

const unusable = (dataDir: string) => (cause: NodeJS.ErrnoException) => {
  if (cause.code === 'EEXIST') throw new DataError('data-exists', dataDir, { cause })
  throw new DataError('data-unusable', `${dataDir}: ${cause.code ?? cause.message}`, { cause })
}
