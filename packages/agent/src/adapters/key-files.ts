// What the agent keeps about itself in its data directory: two private keys, and who it is while it is registered.
// Files are 0600 in a 0700 directory and replaced in one step, so that a crash leaves the old one or the new one.
import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DecryptionKey,
  type EncryptionJwk,
  encryptionJwk,
  generateEncryptionKey,
  generateSigningKey,
  importDecryptionKey,
  importSigningKey,
  privateEncryptionJwk,
  privateJwk,
  type SigningKey
} from '@longshore/protocol'
import type * as z from 'zod'
import { AgentExit } from '../exit-codes.ts'
import { type Identity, identity } from '../identity.ts'
import { parseJson } from '../parse-json.ts'

export type Keys = { signing: SigningKey; encryption: EncryptionJwk; decryption: DecryptionKey }

export const keyFileNames = {
  signing: 'identity-key.json',
  encryption: 'encryption-key.json',
  identity: 'identity.json'
} as const

/** @throws AgentExit `data-directory` */
export const prepareDataDir = (dir: string): Promise<void> =>
  orExit(`${dir}: cannot be used as data directory`, async () => {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await chmod(dir, 0o700)
  })

/**
 * Reads both keys; makes those that do not exist yet.
 * @throws AgentExit `data-directory` when one is damaged or other users may read it
 */
export const openKeys = async (dir: string): Promise<Keys> => {
  const signingPath = join(dir, keyFileNames.signing)
  const storedSigning = await readOwnFile(signingPath, privateJwk)
  const encryptionPath = join(dir, keyFileNames.encryption)
  const storedEncryption = await readOwnFile(encryptionPath, privateEncryptionJwk)
  return orExit(`${dir}: the keys cannot be opened`, async () => {
    const signing = storedSigning ?? (await generateSigningKey()).privateJwk
    if (storedSigning === null) await replaceFile(signingPath, signing)
    const encryption = storedEncryption ?? (await generateEncryptionKey()).privateJwk
    if (storedEncryption === null) await replaceFile(encryptionPath, encryption)
    const { kty, crv, x } = encryption
    return {
      signing: await importSigningKey(signing),
      encryption: encryptionJwk.parse({ kty, crv, x }),
      decryption: await importDecryptionKey(encryption)
    }
  })
}

/** null: not registered yet. */
export const readIdentity = (dir: string): Promise<Identity | null> =>
  readOwnFile(join(dir, keyFileNames.identity), identity)

export const writeIdentity = (dir: string, value: Identity): Promise<void> =>
  orExit(`${dir}: the identity cannot be stored`, () => replaceFile(join(dir, keyFileNames.identity), value))

export const journalFileName = 'journal.sqlite'

/** In this order: what says that the host is registered goes last, so that a crash in between is made good by a second call. */
const filesOfAgent = [
  ...['', '-wal', '-shm'].map((end) => `${journalFileName}${end}`),
  keyFileNames.encryption,
  keyFileNames.signing,
  keyFileNames.identity
]

/** Keys, journal and identity are gone; what HAProxy serves by stays. */
export const forgetAgent = (dir: string): Promise<void> =>
  orExit(`${dir}: what the agent knew cannot be removed`, async () => {
    for (const name of filesOfAgent) await rm(join(dir, name), { force: true })
    await syncDirectory(dir)
  })

/** Written beside, synced, renamed over, and the directory synced: POSIX rename is atomic, not durable. */
const replaceFile = async (path: string, value: unknown): Promise<void> => {
  const beside = `${path}.new`
  const file = await open(beside, 'w', 0o600)
  try {
    await file.chmod(0o600)
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, path)
  await syncDirectory(join(path, '..'))
}

const syncDirectory = async (path: string): Promise<void> => {
  const dir = await open(path, 'r')
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}

const readOwnFile = async <S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S> | null> => {
  const text = await orExit(`${path}: cannot be read`, async () => {
    const found = await stat(path).catch(nullIfMissing)
    if (found === null) return null
    if ((found.mode & 0o077) !== 0) {
      throw new AgentExit('data-directory', `${path}: other users may read it; chmod 600 it, or remove it`)
    }
    return readFile(path, 'utf8')
  })
  if (text === null) return null
  const parsed = schema.safeParse(parseJson(text))
  if (parsed.success) return parsed.data
  throw new AgentExit('data-directory', `${path}: is damaged; restore it, or remove it to register anew`)
}

const nullIfMissing = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

const orExit = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof AgentExit) throw cause
    const why = cause instanceof Error ? cause.message : 'unknown reason'
    throw new AgentExit('data-directory', `${what}: ${why}`, { cause })
  }
}
