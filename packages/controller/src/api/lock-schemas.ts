// Who keeps others away: the lock that a deployment holds over its services, and the freeze that a person put on an
// environment or one of its services. Both stand in status and in the refusals they cause.
import { deploymentId, environmentName, releaseNumber, serviceName } from '@longshore/protocol'
import * as z from 'zod'

const holding = {
  /** Name of the API token. */
  holder: z.string(),
  sinceMs: z.int()
}
const lock = {
  deployment: deploymentId,
  ...holding,
  /** As given with the request; null: none was. */
  reason: z.string().nullable(),
  /** It holds until somebody resumes or cancels it. Absent from a controller that does not say. */
  isPaused: z.boolean().default(false)
}
/** Of a service whose name is said elsewhere. */
export const lockOf = z.object(lock)
/** `service`: the one that is held; `release`: what the deployment brings to it. */
export const lockView = z.object({ ...lock, service: serviceName, release: releaseNumber })
export type LockView = z.infer<typeof lockView>

const freeze = {
  /** null: the whole environment. */
  service: serviceName.nullable(),
  ...holding,
  reason: z.string()
}
/** Of an environment whose name is said elsewhere. */
export const freezeOf = z.object(freeze)
export const freezeView = z.object({ environment: environmentName, ...freeze })
export type FreezeView = z.infer<typeof freezeView>
/** A deployment that has begun goes on: `inProgress`. */
export const freezeAnswer = freezeView.extend({ inProgress: z.array(deploymentId) })
export type FreezeAnswer = z.infer<typeof freezeAnswer>

/** One line for whoever is refused because of it. */
const maxReasonChars = 500
export const requestReason = z.string().trim().min(1).max(maxReasonChars)
/** Which build it was: the address of its page, or its name; one line. */
export const buildName = z
  .string()
  .trim()
  .min(1)
  .max(maxReasonChars)
  .regex(/^\P{C}*$/u, 'has characters that cannot be shown')
export const freezeRequest = z.object({
  service: serviceName.nullable().default(null),
  reason: requestReason
})
export type FreezeRequest = z.infer<typeof freezeRequest>
