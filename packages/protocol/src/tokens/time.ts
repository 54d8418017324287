// The controller's signed time, sent with the refusal `clock-skew`: lets an agent with a wrong clock correct its
// next assertion without trusting anything but the controller's key.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import { nonce } from '../ids.ts'

export const timeClaims = z.object({
  /** Controller time, milliseconds since the epoch. */
  nowMs: z.int(),
  /** The refused assertion's: an old answer cannot be shown again. */
  jti: nonce
})
export type TimeClaims = z.infer<typeof timeClaims>

/**
 * What to add to the host's clock to get the controller's.
 * @param asked.jti of the assertion that was refused
 * @param asked.nowMs the host's clock now
 * @throws ProtocolError `nonce-mismatch` when the answer belongs to another assertion
 */
export const clockOffsetOf = (claims: TimeClaims, asked: { jti: string; nowMs: number }): number => {
  if (claims.jti !== asked.jti) throw new ProtocolError('nonce-mismatch')
  return claims.nowMs - asked.nowMs
}
