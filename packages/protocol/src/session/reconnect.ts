// When an agent whose session ended comes back: at once, soon, or late. Pure; the random number comes in.
import type { ProtocolErrorCode } from '../errors.ts'
import { reconnectBaseMs, reconnectCapMs, reconnectRefusedCapMs, reconnectResetAfterMs } from '../limits.ts'
import type { ByeReason, SessionEnd } from './end.ts'

/** Why there is no session now. `lost`: no connection, or one that ended without a word. */
export type ReconnectReason = ProtocolErrorCode | ByeReason | 'lost'

/** Only an operator can change these; asking often would only make noise. */
const needsOperator: ReadonlySet<ReconnectReason> = new Set([
  'revoked',
  'unknown-agent',
  'unsupported-version'
])

export const reconnectReasonOf = (end: SessionEnd): ReconnectReason => {
  if (end.by === 'loss') return 'lost'
  return end.by === 'us' ? (end.code ?? end.reason) : end.reason
}

/**
 * Full jitter: any delay up to a cap that doubles with each try, so that a fleet does not return all at once.
 * @param input.attempt as the last decision gave it; 0 at start
 * @param input.lastSessionMs how long the session lasted that just ended; null when there was none
 * @param input.random from 0 to 1
 * @returns what to wait, and the attempt to pass next time
 */
export const decideReconnect = (input: {
  attempt: number
  lastSessionMs: number | null
  reason: ReconnectReason
  random: number
}): { delayMs: number; attempt: number } => {
  const isReset = input.lastSessionMs !== null && input.lastSessionMs >= reconnectResetAfterMs
  const attempt = isReset ? 0 : input.attempt
  // only once: a controller that sends everybody away at once must not be asked in a tight loop
  if (input.reason === 'reconnect' && attempt === 0) return { delayMs: 0, attempt: 1 }
  const isRefused = needsOperator.has(input.reason)
  const base = isRefused ? reconnectCapMs : reconnectBaseMs
  const cap = isRefused ? reconnectRefusedCapMs : reconnectCapMs
  return { delayMs: Math.round(input.random * Math.min(cap, base * 2 ** attempt)), attempt: attempt + 1 }
}
