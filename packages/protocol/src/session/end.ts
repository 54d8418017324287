// How a session ends, and what both ends say about it: the one value that leaves a session machine last. What
// to do next (reconnect, tell somebody) is decided elsewhere from this value.
import type { ProtocolErrorCode } from '../errors.ts'
import type { ByeMessage } from '../messages/session.ts'

export type ByeReason = ByeMessage['reason']

export type SessionEnd =
  /** We closed it. `code` is null when nothing was wrong (stopping, reconnect, replaced). */
  | { by: 'us'; reason: ByeReason; code: ProtocolErrorCode | null; detail: string }
  /** The peer said `bye`. */
  | { by: 'peer'; reason: ByeReason; detail: string }
  /** The connection ended without a word. */
  | { by: 'loss' }

const reasonOf: Partial<Record<ProtocolErrorCode, ByeReason>> = {
  silent: 'silent',
  overloaded: 'overloaded',
  revoked: 'revoked',
  'duplicate-session': 'replaced'
}

/** The end for a fault of the peer. */
export const endForFault = (code: ProtocolErrorCode, detail = ''): Extract<SessionEnd, { by: 'us' }> => ({
  by: 'us',
  reason: reasonOf[code] ?? 'protocol',
  code,
  detail
})

/**
 * WebSocket close code and reason (RFC 6455 section 7.4.1; reason at most 123 bytes): 1000 when nothing was
 * wrong, 1008 with our code when the peer broke a rule.
 */
export const closeFrameOf = (end: SessionEnd): { code: number; reason: string } => {
  if (end.by === 'us' && end.code !== null) return { code: 1008, reason: end.code }
  return { code: 1000, reason: end.by === 'us' ? end.reason : '' }
}
