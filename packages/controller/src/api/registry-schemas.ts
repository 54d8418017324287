// The bodies of the registry routes: credentials with which hosts log in to registries. No answer has a secret.
import { limits } from '@longshore/protocol'
import * as z from 'zod'

/** Host and port, as images name it; the engine brings it into its common form. */
const host = z.string().min(1).max(limits.maxRegistryNameChars)

const hasBytes = (most: number) => (text: string) => Buffer.byteLength(text) <= most

/** Strict: a field that is written wrongly would leave a login other than it was meant. */
export const loginRegistry = z.strictObject({
  host,
  /** RFC 7617: a user name has no colon. */
  username: z
    .string()
    .min(1)
    .regex(/^[^:\p{Cc}]*$/u, 'a user name has neither colons nor control characters')
    .refine(hasBytes(limits.maxUserNameBytes), 'a user name has 256 bytes at most'),
  password: z
    .string()
    .min(1)
    .regex(/^\P{Cc}*$/u, 'a password has no control characters, line breaks among them')
    .refine(hasBytes(limits.maxPasswordBytes), 'a password has 8 KiB at most')
})
export type LoginRegistry = z.infer<typeof loginRegistry>

export const registryView = z.object({
  host: z.string(),
  username: z.string(),
  setAtMs: z.int(),
  setBy: z.string()
})
export type RegistryView = z.infer<typeof registryView>
