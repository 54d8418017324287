// The bodies of the routes for browsers that sign in.
import * as z from 'zod'
import { permission } from './permission-schema.ts'

export const signIn = z.strictObject({ token: z.string().min(1).max(16_384) })

export const sessionView = z.object({
  name: z.string(),
  allow: z.array(permission),
  /** Of the controller. */
  version: z.string(),
  nowMs: z.int()
})
export type SessionView = z.infer<typeof sessionView>
