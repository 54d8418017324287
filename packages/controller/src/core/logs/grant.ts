// How many bytes of logs may hosts send now? Each reader has a share of memory that its hosts divide; a host gets more
// once it has used half of its part, as long as the reader takes what came, and all readers together stay below what
// leaves this process time for everything else.
import { limits } from '@longshore/protocol'

/** Of one reader: what its hosts may have on their way to it. */
const maxUnderWayBytes = 640 * 1024
/** What waits in a reader's socket before its hosts get no more. */
export const maxWaitingBytes = 256 * 1024
/** Granted to everybody in one round. */
export const grantsPerRound = 1024 * 1024
export const roundMs = 100
/** Each has to be able to send its longest line. */
export const maxHostsPerReader = Math.floor(maxUnderWayBytes / (limits.maxLogChars + limits.logEntryBytes))

/** What one host may have on its way. */
export const windowOf = (hosts: number): number =>
  Math.min(limits.maxLogGrantBytes, Math.floor(maxUnderWayBytes / Math.max(1, hosts)))

export type Account = { windowBytes: number; unusedBytes: number }

/** @returns 0: not yet */
export const grantFor = (
  { windowBytes, unusedBytes }: Account,
  { waitingBytes, leftBytes }: { waitingBytes: number; leftBytes: number }
): number => {
  if (waitingBytes > maxWaitingBytes || unusedBytes > windowBytes / 2) return 0
  return Math.max(0, Math.min(windowBytes - unusedBytes, leftBytes))
}
