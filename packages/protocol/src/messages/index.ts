// The two unions of everything that may stand in a frame, and the frame itself.
import * as z from 'zod'
import { sessionId } from '../ids.ts'
import { maxMessagesPerFrame } from '../limits.ts'
import { commandMessage } from './command.ts'
import { acceptedMessage, ackMessage, cancelMessage, keysMessage, refusedMessage } from './delivery.ts'
import { inventoryMessage } from './inventory.ts'
import { logsCloseMessage, logsDataMessage, logsGrantMessage, logsOpenMessage } from './logs.ts'
import { progressMessage, reportMessage } from './report.ts'
import { byeMessage, helloMessage, welcomeMessage } from './session.ts'

export * from './command.ts'
export * from './delivery.ts'
export * from './inventory.ts'
export * from './logs.ts'
export * from './report.ts'
export * from './session.ts'

export const downMessage = z.discriminatedUnion('type', [
  welcomeMessage,
  commandMessage,
  cancelMessage,
  ackMessage,
  keysMessage,
  logsOpenMessage,
  logsGrantMessage,
  logsCloseMessage,
  byeMessage
])
export type DownMessage = z.infer<typeof downMessage>

export const upMessage = z.discriminatedUnion('type', [
  helloMessage,
  acceptedMessage,
  refusedMessage,
  progressMessage,
  reportMessage,
  inventoryMessage,
  logsDataMessage,
  byeMessage
])
export type UpMessage = z.infer<typeof upMessage>

const frameOf = <M extends z.ZodType>(message: M) =>
  z.object({
    sid: sessionId,
    /** Grows by one per direction, from 1 in each session. */
    seq: z.int().min(1),
    /** Sender's clock, milliseconds since the epoch; for display, never for decisions. */
    at: z.int(),
    messages: z.array(message).min(1).max(maxMessagesPerFrame)
  })
export const downFrame = frameOf(downMessage)
export const upFrame = frameOf(upMessage)
export type DownFrame = z.infer<typeof downFrame>
export type UpFrame = z.infer<typeof upFrame>
