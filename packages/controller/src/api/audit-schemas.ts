// The bodies of the audit route: entries as they were chained, and which of them are asked for.
import { auditEntry } from '@longshore/protocol'
import * as z from 'zod'

export const auditView = auditEntry
export type AuditView = z.infer<typeof auditView>

const number = z.coerce.number().int().min(0)
/** Whole, or the beginning with `*` at its end. */
const word = z.string().min(1).max(300)

export const auditQuery = z.strictObject({
  limit: number.min(1).max(1000).default(50),
  /** From the entry after this number on, oldest first; without it, the newest first. */
  after: number.optional(),
  before: number.optional(),
  /** Name or id of whoever did it. */
  who: word.optional(),
  action: word.optional(),
  subject: word.optional(),
  outcome: word.optional(),
  /** Milliseconds since the epoch; the first is in it, the second is not. */
  sinceMs: number.optional(),
  untilMs: number.optional()
})
