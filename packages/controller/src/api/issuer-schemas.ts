// The bodies of the issuer routes: whose ID tokens are taken, what their claims allow, and with what client people sign
// in at the page. No answer has a client secret.
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

/** RFC 6749, section 3.3. */
const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/, 'a scope is one word without quotes')

/** As a client of the issuer (OpenID Connect Core 1.0, section 3.1) the controller signs people in. */
const signInClient = z.strictObject({
  clientId: z.string().min(1).max(300),
  /** May be left out as long as URL and client stay the same: the one that is there is kept. */
  clientSecret: z
    .string()
    .min(1)
    .max(2000)
    .regex(/^\P{Cc}*$/u, 'a client secret has no control characters, line breaks among them')
    .optional(),
  /** Asked for beside `openid profile email`. */
  scopes: z.array(scope).max(20).default([]),
  /** Where people open the page: the issuer sends them back to an address below it. */
  pageUrl: z.string().min(1).max(300)
})

/** Strict: a field that is written wrongly would let in others than it was meant to. */
const issuerFields = z.strictObject({
  /** As the `iss` claim has it, character by character. */
  url: z.string().min(1).max(300),
  /** null: the id of the installation, or of the client with which people sign in. */
  audience: z.string().min(1).max(300).nullable().default(null),
  /** A token is of no use after this, whatever its `exp` says. */
  maxAgeMs: z
    .int()
    .min(60_000)
    .max(7 * 86_400_000)
    .default(86_400_000),
  rules: z.array(claimRule).min(1).max(50),
  /** null: its tokens are sent by whoever asks; else people sign in with it, and no token that is sent counts. */
  signIn: signInClient.nullable().default(null)
})
export const setIssuer = issuerFields.refine(({ audience, signIn }) => audience === null || signIn === null, {
  path: ['audience'],
  message: 'the audience of those who sign in is the client'
})
export type SetIssuer = z.infer<typeof setIssuer>

export const issuerView = z.object({
  name: z.string(),
  url: z.string(),
  audience: z.string(),
  maxAgeMs: z.int(),
  rules: z.array(claimRule),
  /** null: nobody signs in with it. Older controllers do not say. */
  signIn: z
    .object({
      clientId: z.string(),
      scopes: z.array(z.string()),
      pageUrl: z.string(),
      /** To be registered at the issuer, character by character. */
      redirectUri: z.string()
    })
    .nullable()
    .default(null),
  setAtMs: z.int(),
  setBy: z.string()
})
export type IssuerView = z.infer<typeof issuerView>
