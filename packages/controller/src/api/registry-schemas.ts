// The bodies of the registry routes: credentials with which hosts log in to registries. No answer has a secret.
import * as z from 'zod'

/** Host and port, as images name it; the engine brings it into its common form. */
const host = z.string().min(1).max(300)

/** Tokens that serve as passwords have a few KiB; one that is larger than this is a mistake. */
export const maxPasswordChars = 8192

/** Strict: a field that is written wrongly would leave a login other than it was meant. */
export const loginRegistry = z.strictObject({
  host,
  /** RFC 7617: a user name has no colon. */
  username: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[^:\p{Cc}]*$/u, 'a user name has neither colons nor control characters'),
  password: z
    .string()
    .min(1)
    .max(maxPasswordChars)
    .regex(/^\P{Cc}*$/u, 'a password has no control characters, line breaks among them')
})
export type LoginRegistry = z.infer<typeof loginRegistry>

export const registryView = z.object({
  host: z.string(),
  username: z.string(),
  setAtMs: z.int(),
  setBy: z.string()
})
export type RegistryView = z.infer<typeof registryView>
