// Which reports are to be sent now: never sent in this session, or sent so long ago without an acknowledgement
// that they may be lost. Keeping them is the journal's part, sending them the reporter's.
import { limits, type RunReport } from '@longshore/protocol'

/** Reports under way at once: a host with a long backlog does not fill its own socket. */
export const maxReportsUnderWay = 32

/**
 * @param unacknowledged oldest first
 * @param sentAtMs report number -> when it was last sent in this session, on the clock of `nowMs`
 * @returns oldest first; only from the `maxReportsUnderWay` oldest, because an ack names a number up to which
 */
export const dueReports = (
  unacknowledged: readonly RunReport[],
  sentAtMs: ReadonlyMap<number, number>,
  nowMs: number
): RunReport[] =>
  unacknowledged.slice(0, maxReportsUnderWay).filter((report) => {
    const sentAt = sentAtMs.get(report.number)
    return sentAt === undefined || nowMs - sentAt >= limits.reportResendMs
  })
