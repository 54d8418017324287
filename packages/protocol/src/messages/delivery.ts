// The small messages that make delivery safe: `accepted` and `refused` (up) answer a command, `ack` (down)
// answers reports, `cancel` (down) ends a run early, `keys` (down) announces a new controller key.
import * as z from 'zod'
import { commandId } from '../ids.ts'
import { maxReasonChars } from '../limits.ts'

/** The command is in the agent's journal; it will be carried out or reported on, whatever happens. */
export const acceptedMessage = z.object({ type: z.literal('accepted'), command: commandId })
export type AcceptedMessage = z.infer<typeof acceptedMessage>

export const refusalCodes = [
  'policy',
  'stale',
  'expired',
  'unsupported',
  'busy',
  'malformed',
  'forged'
] as const
export const refusalCode = z.enum(refusalCodes)
export type RefusalCode = z.infer<typeof refusalCode>

/** The command was not and will not be executed. Only `busy` is worth another try. */
export const refusedMessage = z.object({
  type: z.literal('refused'),
  command: commandId,
  code: refusalCode,
  detail: z.string().max(maxReasonChars)
})
export type RefusedMessage = z.infer<typeof refusedMessage>

/** Every report up to this number is durable at the controller. */
export const ackMessage = z.object({ type: z.literal('ack'), reportsUpTo: z.int().min(0) })
export type AckMessage = z.infer<typeof ackMessage>

/** The run of this command should undo itself and end. Ignored when it has ended. */
export const cancelMessage = z.object({ type: z.literal('cancel'), command: commandId })
export type CancelMessage = z.infer<typeof cancelMessage>

/** The whole chain of controller key announcements, oldest first. */
export const keysMessage = z.object({ type: z.literal('keys'), chain: z.array(z.string().max(4096)).max(64) })
export type KeysMessage = z.infer<typeof keysMessage>
