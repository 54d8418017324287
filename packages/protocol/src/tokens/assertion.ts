// The assertion: how an agent says who it is before a session is opened. It is short-lived and used once; the
// controller remembers each `jti` for as long as the assertion would be accepted.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import { type InstallationId, installationId, nonce, thumbprint } from '../ids.ts'
import { maxClockSkewMs } from '../limits.ts'

/** WebSocket subprotocol: the major version. A controller that does not offer it answers `unsupported-version`. */
export const subprotocol = 'longshore.v1'
/** Grows when a message or field is added; the controller sends an agent only what its minor knows. */
export const protocolMinor = 0

export const assertionClaims = z.object({
  installation: installationId,
  /** The agent's key, the same that `kid` names. */
  key: thumbprint,
  jti: nonce,
  /** The agent's clock, plus the offset that the controller's signed time taught it, if any. */
  issuedAtMs: z.int(),
  minor: z.int().min(0),
  capabilities: z.array(z.string().max(64)).max(64),
  /** Client nonce: `welcome` repeats it, and it makes one half of the session id. */
  nonce,
  /** A program that is tried beside the agent: its session is answered, and never counts. Optional: it is the agent. */
  isCandidate: z.boolean().optional()
})
export type AssertionClaims = z.infer<typeof assertionClaims>

/** Positive: the agent's clock is ahead of the controller's. Includes the time that the request travelled. */
export const clockSkewOf = (claims: Pick<AssertionClaims, 'issuedAtMs'>, nowMs: number): number =>
  claims.issuedAtMs - nowMs

/**
 * For what an agent signs to say who it is: an assertion, or its leave.
 * @param now.kid thumbprint of the key that verified it
 * @param now.hasSeen whether this `jti` was accepted within the last `2 * maxClockSkewMs`
 * @throws ProtocolError `audience-mismatch`, `key-unknown`, `clock-skew` (with the measured difference) or `replayed`
 */
export const checkAssertion = (
  claims: Pick<AssertionClaims, 'installation' | 'key' | 'jti' | 'issuedAtMs'>,
  now: { installation: InstallationId; kid: string; nowMs: number; hasSeen: (jti: string) => boolean }
): void => {
  if (claims.installation !== now.installation) throw new ProtocolError('audience-mismatch')
  if (claims.key !== now.kid) throw new ProtocolError('key-unknown', 'signed by another key than it names')
  const skewMs = clockSkewOf(claims, now.nowMs)
  if (Math.abs(skewMs) > maxClockSkewMs) throw new ProtocolError('clock-skew', describeSkew(skewMs))
  if (now.hasSeen(claims.jti)) throw new ProtocolError('replayed')
}

const describeSkew = (skewMs: number): string => {
  const seconds = Math.round(Math.abs(skewMs) / 1000)
  return `the agent's clock is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the controller's`
}
