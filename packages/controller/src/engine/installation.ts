// Who is this controller? The installation id, its signing key and the chain of key announcements, as every part
// that signs or verifies needs them. Where the private key lies is left to adapters/keys.
import {
  formatId,
  type InstallationId,
  keyAnnouncement,
  readUnverified,
  type SigningKey,
  signJws,
  thumbprintOf,
  type VerifyKey,
  verifyKeyChain
} from '@longshore/protocol'
import type { Clock, Random, Store } from '../ports.ts'

export type Installation = {
  id: InstallationId
  /** The current key: signs everything. */
  key: SigningKey
  /** Every key that the installation ever had. */
  keyOf(kid: string): VerifyKey | undefined
  /** Key announcements, oldest first. */
  chain: readonly string[]
}

export const installationErrors = {
  'installation-missing': 'the data directory holds no installation',
  'key-mismatch': 'the signing key does not belong to the database'
} as const satisfies Record<string, string>
export type InstallationErrorCode = keyof typeof installationErrors

export class InstallationError extends Error {
  override readonly name = 'InstallationError'
  readonly code: InstallationErrorCode

  constructor(code: InstallationErrorCode, detail: string, options?: ErrorOptions) {
    super(`${installationErrors[code]}: ${detail}`, options)
    this.code = code
  }
}

/** Gives an empty store its identity: the id, and the key announced by itself as number 1. Else reads it. */
export const foundInstallation = async (
  ports: { store: Store; clock: Clock; random: Random },
  key: SigningKey
): Promise<Installation> => {
  if ((await ports.store.installation()) !== undefined) return readInstallation(ports.store, key)
  const id = formatId<InstallationId>('ins', ports.random.bytes(13))
  const announcement = {
    installation: id,
    number: 1,
    key: key.publicJwk,
    previous: null,
    announcedAtMs: ports.clock.nowMs()
  }
  const jws = await signJws('key', announcement, key)
  await ports.store.transaction(async (tx) => {
    await tx.setInstallation(id)
    await tx.addKey(jws)
  })
  return readInstallation(ports.store, key)
}

/** @throws InstallationError `installation-missing`, `key-mismatch` */
export const readInstallation = async (store: Store, key: SigningKey): Promise<Installation> => {
  const id = await store.installation()
  if (id === undefined) {
    throw new InstallationError('installation-missing', 'run `longshore controller init` first')
  }
  const chain = await store.keyChain()
  const keys = await readChain(chain, id)
  if (keys.at(-1)?.kid !== key.kid) throw mismatch()
  const byKid = new Map<string, VerifyKey>(keys.map((known) => [known.kid, known]))
  return { id, key, chain, keyOf: (kid) => byKid.get(kid) }
}

/** All keys of the chain, which is our own: its first key vouches for the others. */
const readChain = async (chain: string[], id: InstallationId): Promise<VerifyKey[]> => {
  try {
    const first = readUnverified('key', chain[0] ?? '', keyAnnouncement)
    return await verifyKeyChain(chain, await thumbprintOf(first.key), id)
  } catch (error) {
    throw mismatch(error)
  }
}

const mismatch = (cause?: unknown): InstallationError =>
  new InstallationError('key-mismatch', 'restore key and database from the same backup', { cause })
