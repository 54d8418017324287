// The key under which the controller keeps secrets that it has to read again (of webhooks and registries): an AES key as a JWK, mode
// 0600, in the data directory beside the database that holds what it seals. Made when it is first needed.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CompactEncrypt, compactDecrypt, importJWK } from 'jose'
import * as z from 'zod'
import type { Sealer } from '../../ports.ts'
import { DataError, demandPrivate, isThere, writeOnce } from './data-directory.ts'

const jwk = z.object({ kty: z.literal('oct'), k: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })
type Key = Exclude<Awaited<ReturnType<typeof importJWK>>, never>
const methods = { alg: 'dir', enc: 'A256GCM' } as const

/** JWE compact, `dir` with A256GCM (RFC 7516, RFC 7518). */
export const createSealer = (dataDir: string): Sealer => {
  const path = join(dataDir, 'sealing-key.json')
  let key: Promise<Key> | undefined
  /** A failure is not kept: the file may be put back. */
  const keep = (loading: Promise<Key>): Promise<Key> => {
    key = loading
    loading.catch(() => {
      key = undefined
    })
    return loading
  }
  return {
    seal: async (secret) => {
      const bytes = new TextEncoder().encode(secret)
      const sealing = await (key ?? keep(readOrMake(path)))
      return new CompactEncrypt(bytes).setProtectedHeader(methods).encrypt(sealing)
    },
    open: async (sealed) => {
      const options = { keyManagementAlgorithms: [methods.alg], contentEncryptionAlgorithms: [methods.enc] }
      const { plaintext } = await compactDecrypt(sealed, await (key ?? keep(read(path))), options)
      return new TextDecoder().decode(plaintext)
    }
  }
}

const readOrMake = async (path: string): Promise<Key> => {
  if (!(await isThere(path))) {
    const made = { kty: 'oct', k: randomBytes(32).toString('base64url') }
    await writeOnce(path, `${JSON.stringify(made)}\n`)
  }
  return read(path)
}

const read = async (path: string): Promise<Key> => {
  await demandPrivate(path)
  try {
    return await importJWK(jwk.parse(JSON.parse(await readFile(path, 'utf8'))), methods.enc)
  } catch {
    // the cause may quote the key
    throw new DataError('key-unusable', `${path} is not readable as an AES key of 256 bits (JWK)`)
  }
}
