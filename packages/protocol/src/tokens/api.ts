// The API token: who may call the HTTP API. What it allows stays in the controller's store, where it can be
// changed and revoked; the token only says which row.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import { type InstallationId, installationId, tokenId } from '../ids.ts'

export const apiClaims = z.object({
  installation: installationId,
  id: tokenId,
  name: z.string().min(1).max(100),
  issuedAtMs: z.int(),
  /** null: does not expire. */
  expiresAtMs: z.int().nullable()
})
export type ApiClaims = z.infer<typeof apiClaims>

/** @throws ProtocolError `audience-mismatch` or `expired` */
export const checkApiToken = (
  claims: ApiClaims,
  now: { installation: InstallationId; nowMs: number }
): void => {
  if (claims.installation !== now.installation) throw new ProtocolError('audience-mismatch')
  if (claims.expiresAtMs !== null && now.nowMs >= claims.expiresAtMs) {
    throw new ProtocolError('expired', `it expired ${new Date(claims.expiresAtMs).toISOString()}`)
  }
}
