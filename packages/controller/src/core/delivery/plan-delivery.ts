// Which commands are sent to a host now, and when to look again. A command is sent until it is answered; one that
// was accepted is sent again at each new session, and the agent answers from its journal.
import { limits } from '@longshore/protocol'

type Owed = { command: string; notAfterMs: number; state: 'owed' | 'accepted' | 'ended'; isActive: boolean }
export type DeliveryPlan<Row> = {
  send: Row[]
  /** Never answered, past their time, and no deployment waits for them: they end. */
  expired: Row[]
  /** When an unanswered one is due again; null: nothing is. */
  nextAtMs: number | null
}

/**
 * @param rows what the host is owed, oldest first, with whether a deployment in progress waits for it: such a one
 *   is sent past its time too, because only the agent knows whether it had come in time
 * @param sentAtMs when each was last sent in this session
 */
export const planDelivery = <Row extends Owed>(
  rows: readonly Row[],
  sentAtMs: ReadonlyMap<string, number>,
  nowMs: number,
  resendMs: number
): DeliveryPlan<Row> => {
  const open = rows.filter((row) => row.state !== 'ended')
  const expired = open.filter((row) => !row.isActive && row.notAfterMs <= nowMs)
  const owed = open.filter((row) => !expired.includes(row)).slice(0, limits.maxPendingCommandsPerHost)
  const dueAt = (row: Row) => (sentAtMs.get(row.command) ?? Number.NEGATIVE_INFINITY) + resendMs
  const isDue = (row: Row) => (row.state === 'owed' ? dueAt(row) <= nowMs : !sentAtMs.has(row.command))
  const send = owed.filter(isDue)
  const unanswered = owed.filter((row) => row.state === 'owed')
  const moments = unanswered.map((row) => (isDue(row) ? nowMs + resendMs : dueAt(row)))
  return { send, expired, nextAtMs: moments.length === 0 ? null : Math.min(...moments) }
}
