// The bodies of the routes for browsers that sign in.
import * as z from 'zod'
import { permission } from './permission-schema.ts'

export const signIn = z.strictObject({ token: z.string().min(1).max(16_384) })

/** Where the page goes on afterwards: one of its own views, never another address. */
const ownView = z
  .string()
  .max(1000)
  .regex(/^#\/[\w!'()*.~%/?=&+,:-]*$/, 'expected an address of the page after its #')
export const beginSignIn = z.strictObject({ view: ownView.default('#/') })
/** Where the browser goes to. */
export const begunSignIn = z.object({ url: z.string() })

/** What stands at the door. */
export const signInView = z.object({
  /** Those with which people can sign in. */
  issuers: z.array(z.object({ name: z.string(), pageUrl: z.string() })),
  /** Why the last attempt of this browser came to nothing; told once. */
  refusal: z.string().nullable()
})
export type SignInView = z.infer<typeof signInView>

export const sessionView = z.object({
  name: z.string(),
  allow: z.array(permission),
  /** Of the controller. */
  version: z.string(),
  nowMs: z.int()
})
export type SessionView = z.infer<typeof sessionView>
