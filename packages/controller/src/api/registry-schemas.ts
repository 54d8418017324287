// The bodies of the registry routes: credentials with which hosts log in to registries. No answer has a secret.
import { limits } from '@longshore/protocol'
import * as z from 'zod'

/** Host and port, as images name it; the engine brings it into its common form. */
const host = z.string().min(1).max(limits.maxRegistryNameChars)

const hasBytes = (most: number) => (text: string) => Buffer.byteLength(text) <= most

/** By its name in the controller's PATH, never by a path: only what is meant as a helper can be run. */
const helper = z
  .string()
  .regex(
    /^docker-credential-[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    'expected docker-credential-NAME, a program in the PATH of the controller'
  )

/** Strict: a field that is written wrongly would leave a login other than it was meant. */
export const loginRegistry = z
  .strictObject({
    host,
    /** RFC 7617: a user name has no colon. */
    username: z
      .string()
      .min(1)
      .regex(/^[^:\p{Cc}]*$/u, 'a user name has neither colons nor control characters')
      .refine(hasBytes(limits.maxUserNameBytes), 'a user name has 256 bytes at most')
      .optional(),
    password: z
      .string()
      .min(1)
      .regex(/^\P{Cc}*$/u, 'a password has no control characters, line breaks among them')
      .refine(hasBytes(limits.maxPasswordBytes), 'a password has 8 KiB at most')
      .optional(),
    helper: helper.optional()
  })
  .refine(
    ({ username, password, helper: program }) =>
      program === undefined
        ? username !== undefined && password !== undefined
        : username === undefined && password === undefined,
    'expected username and password, or helper alone'
  )
export type LoginRegistry = z.infer<typeof loginRegistry>

export const registryView = z.object({
  host: z.string(),
  /** null: the helper says it. */
  username: z.string().nullable(),
  /** The program on the controller that is asked; null: none is. */
  helper: z.string().nullable(),
  setAtMs: z.int(),
  setBy: z.string()
})
export type RegistryView = z.infer<typeof registryView>
