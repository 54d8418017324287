// The join token: what it promises a new machine and when it no longer does. How often it was used and whether
// it was revoked stands in the controller's store.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import { environmentName, type InstallationId, installationId, labels, thumbprint, tokenId } from '../ids.ts'

export const joinClaims = z.object({
  /** Audience: the installation that made it and that alone takes it. */
  installation: installationId,
  id: tokenId,
  /** The controller's key when the token was made: the agent's root of trust. */
  key: thumbprint,
  environment: environmentName,
  labels,
  issuedAtMs: z.int(),
  expiresAtMs: z.int(),
  /** null: as often as wanted until it expires. */
  uses: z.int().min(1).nullable(),
  /** A machine with the same host name is replaced at once instead of being held. */
  replace: z.boolean()
})
export type JoinClaims = z.infer<typeof joinClaims>

/** @throws ProtocolError `audience-mismatch` or `expired` */
export const checkJoinToken = (
  claims: JoinClaims,
  now: { installation: InstallationId; nowMs: number }
): void => {
  if (claims.installation !== now.installation) throw new ProtocolError('audience-mismatch')
  if (now.nowMs >= claims.expiresAtMs) {
    throw new ProtocolError('expired', `it expired ${new Date(claims.expiresAtMs).toISOString()}`)
  }
}
