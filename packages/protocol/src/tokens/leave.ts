// The agent's goodbye for good: its host is taken out of service, and the controller forgets it. Signed as an
// assertion is, but of a kind of its own: whoever sees an assertion on its way cannot make a goodbye of it.
import type * as z from 'zod'
import { assertionClaims } from './assertion.ts'

export const leaveClaims = assertionClaims.pick({
  installation: true,
  key: true,
  jti: true,
  issuedAtMs: true
})
export type LeaveClaims = z.infer<typeof leaveClaims>
