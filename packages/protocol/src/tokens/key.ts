// How an agent follows the controller from one signing key to the next: announcements form a chain in which each
// key is introduced by its predecessor. When to rotate is left to the controller.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import { type InstallationId, installationId, type Thumbprint, thumbprint } from '../ids.ts'
import { readUnverified, verifyJws } from '../jws.ts'
import { importVerifyKey, publicJwk, type VerifyKey } from '../keys.ts'
import { maxKeyChain } from '../limits.ts'

export const keyAnnouncement = z.object({
  installation: installationId,
  /** Position in the chain, from 1. */
  number: z.int().min(1),
  /** The key that signs from now on. */
  key: publicJwk,
  /** The predecessor, which signs this announcement; null in the first one, which signs itself. */
  previous: thumbprint.nullable(),
  announcedAtMs: z.int()
})
export type KeyAnnouncement = z.infer<typeof keyAnnouncement>

/**
 * Checks every link of a chain, oldest first, and that the trusted key is in it.
 * @param chain announcements as compact JWS, from the first one on
 * @param trusted the key trusted so far: from the join token, or the latest one stored
 * @param installation what every announcement must name, if it is known already
 * @returns the trusted key and all its successors; the last one is the current key. Keys before the trusted one
 *   are left out: nobody trusted vouches for them.
 * @throws ProtocolError `controller-untrusted`
 */
export const verifyKeyChain = async (
  chain: readonly string[],
  trusted: Thumbprint,
  installation?: InstallationId
): Promise<VerifyKey[]> => {
  if (chain.length > maxKeyChain) throw new ProtocolError('controller-untrusted', 'the key chain is too long')
  const keys: VerifyKey[] = []
  let named = installation
  for (const [index, jws] of chain.entries()) {
    const link = await verifyLink(jws, index + 1, keys.at(-1))
    named ??= link.installation
    if (link.installation !== named) {
      throw new ProtocolError('controller-untrusted', 'the key chain is of another installation')
    }
    keys.push(link.key)
  }
  const position = keys.findIndex((key) => key.kid === trusted)
  if (position === -1) throw new ProtocolError('controller-untrusted', 'the trusted key is not in the chain')
  return keys.slice(position)
}

type Link = { installation: InstallationId; key: VerifyKey }

const verifyLink = async (jws: string, number: number, previous: VerifyKey | undefined): Promise<Link> => {
  try {
    const signer = previous ?? (await importVerifyKey(readUnverified('key', jws, keyAnnouncement).key))
    const find = (kid: string): VerifyKey | undefined => (kid === signer.kid ? signer : undefined)
    const claims = await verifyJws('key', jws, find, keyAnnouncement)
    if (claims.number !== number || claims.previous !== (previous?.kid ?? null)) {
      throw new ProtocolError(
        'controller-untrusted',
        `announcement ${number} does not follow its predecessor`
      )
    }
    return { installation: claims.installation, key: await importVerifyKey(claims.key) }
  } catch (cause) {
    if (cause instanceof ProtocolError && cause.code === 'controller-untrusted') throw cause
    throw new ProtocolError('controller-untrusted', `announcement ${number} of the key chain`, { cause })
  }
}
