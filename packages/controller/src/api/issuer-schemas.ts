// The bodies of the issuer routes: whose ID tokens are taken, and what their claims allow.
import * as z from 'zod'
import { permission } from './permission-schema.ts'

/** Part of who asked, in the audit and in lists. */
export const issuerName = z.string().regex(/^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/)

const claimName = z.string().regex(/^[^\p{Cc}\s=]{1,100}$/u, 'the name of a claim has no blanks and no =')
const claimPattern = z
  .string()
  .min(1)
  .max(500)
  .regex(/[^*]/, 'a pattern of stars alone lets in whatever the issuer signs')

/** All of its claims have to fit. */
export const claimRule = z.strictObject({
  claims: z
    .record(claimName, claimPattern)
    .refine((claims) => Object.keys(claims).length > 0, 'a rule asks for one claim at least')
    .refine((claims) => Object.keys(claims).length <= 20, 'a rule asks for 20 claims at most'),
  allow: z.array(permission).min(1).max(100)
})
export type ClaimRule = z.infer<typeof claimRule>

/** Strict: a field that is written wrongly would let in others than it was meant to. */
export const setIssuer = z.strictObject({
  /** As the `iss` claim has it, character by character. */
  url: z.string().min(1).max(300),
  /** null: the id of the installation. */
  audience: z.string().min(1).max(300).nullable().default(null),
  /** A token is of no use after this, whatever its `exp` says. */
  maxAgeMs: z
    .int()
    .min(60_000)
    .max(7 * 86_400_000)
    .default(86_400_000),
  rules: z.array(claimRule).min(1).max(50)
})
export type SetIssuer = z.infer<typeof setIssuer>

export const issuerView = z.object({
  name: z.string(),
  url: z.string(),
  audience: z.string(),
  maxAgeMs: z.int(),
  rules: z.array(claimRule),
  setAtMs: z.int(),
  setBy: z.string()
})
export type IssuerView = z.infer<typeof issuerView>
