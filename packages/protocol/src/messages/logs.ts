// What containers write, from a host to whoever reads: `logs.open`, `logs.grant` and `logs.close` (down), `logs.data`
// (up). The receiver grants bytes and the agent sends no more than it was granted, so that nobody has to hold what a
// slow reader does not take. Nothing here is kept or sent again: a stream ends with its session.
import * as z from 'zod'
import { environmentName, releaseNumber, serviceName } from '../ids.ts'
import {
  logEntryBytes,
  maxLogChars,
  maxLogEntriesPerMessage,
  maxLogGrantBytes,
  maxLogGrepChars,
  maxLogResumes,
  maxLogTailLines,
  maxReasonChars,
  maxReplicas
} from '../limits.ts'
import { containerId } from './command.ts'

/** Chosen by the controller, never used twice within a session. */
const logStream = z.int().min(1)

/** RFC 3339 with nine digits and `Z`, as the engine stamps lines: as text they sort by time. */
export const logTime = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)

export const logsOpenMessage = z.object({
  type: z.literal('logs.open'),
  stream: logStream,
  environment: environmentName,
  service: serviceName,
  /** Go on with what is written from now on, and with containers that come later. */
  isFollowed: z.boolean(),
  /** Only lines that are not older than this, in milliseconds; null: any. An age, as clocks of hosts differ. */
  maxAgeMs: z.int().min(0).nullable(),
  /** Only so many of the last lines of each container; null: all. */
  tail: z.int().min(0).max(maxLogTailLines).nullable(),
  /** Only lines with this text in them, letter by letter. */
  grep: z.string().min(1).max(maxLogGrepChars).nullable(),
  /** Opened again after a lost session: of these containers only what came after the last line that arrived. */
  after: z.array(z.object({ container: containerId, time: logTime })).max(maxLogResumes),
  /** First grant, in bytes as `logCostOf` counts them. */
  grant: z.int().min(0).max(maxLogGrantBytes)
})
export type LogsOpenMessage = z.infer<typeof logsOpenMessage>

/** So much more may be sent. */
export const logsGrantMessage = z.object({
  type: z.literal('logs.grant'),
  stream: logStream,
  bytes: z.int().min(1).max(maxLogGrantBytes)
})
export type LogsGrantMessage = z.infer<typeof logsGrantMessage>

/** Nobody reads any more. Ignored when the stream has ended. */
export const logsCloseMessage = z.object({ type: z.literal('logs.close'), stream: logStream })
export type LogsCloseMessage = z.infer<typeof logsCloseMessage>

const line = z.object({
  kind: z.literal('line'),
  container: containerId,
  /** What it was written to; `tty`: a terminal, which knows no difference. */
  from: z.enum(['stdout', 'stderr', 'tty']),
  /** null: the engine gave none. */
  time: logTime.nullable(),
  /** As it was written: control characters are in it. */
  text: z.string().max(maxLogChars),
  /** The line was longer. */
  isCut: z.boolean().optional()
})
/** Its lines follow. */
const begun = z.object({
  kind: z.literal('begun'),
  container: containerId,
  name: z.string().max(255),
  release: releaseNumber,
  index: z.int().min(0).max(maxReplicas)
})
/** It has stopped; should it be started again, it begins again. */
const ended = z.object({ kind: z.literal('ended'), container: containerId })
/** Its lines cannot be had: the log driver keeps nothing, or the engine fails. */
const unreadable = z.object({
  kind: z.literal('unreadable'),
  container: containerId,
  detail: z.string().max(maxReasonChars)
})
/** Lines that were not sent because too much was waiting; null: so many that they were not counted. */
const leftOut = z.object({
  kind: z.literal('left-out'),
  container: containerId,
  lines: z.int().min(1).nullable()
})
/** The last entry of a stream. `refused`: by the policy of the host; `failed`: `detail` says why. */
const done = z.object({
  kind: z.literal('done'),
  outcome: z.enum(['complete', 'refused', 'failed']),
  detail: z.string().max(maxReasonChars)
})
export const logEntry = z.discriminatedUnion('kind', [line, begun, ended, unreadable, leftOut, done])
export type LogEntry = z.infer<typeof logEntry>
export type LogLine = z.infer<typeof line>

export const logsDataMessage = z.object({
  type: z.literal('logs.data'),
  stream: logStream,
  entries: z.array(logEntry).min(1).max(maxLogEntriesPerMessage)
})
export type LogsDataMessage = z.infer<typeof logsDataMessage>

const encoder = new TextEncoder()

/** What an entry takes from the grant, in bytes: about as much as it takes in any memory and on any wire. */
export const logCostOf = (entry: LogEntry): number =>
  logEntryBytes + (entry.kind === 'line' ? encodedBytes(entry.text) : 0)

/** As JSON in UTF-8. */
const encodedBytes = (text: string): number => encoder.encode(JSON.stringify(text)).length

/** Shortens a line until its cost keeps within `maxLogLineBytes`. */
export const cutLogText = (text: string): { text: string; isCut: boolean } => {
  let kept = text
  for (let bytes = encodedBytes(kept); bytes > maxLogChars; bytes = encodedBytes(kept))
    kept = kept.slice(0, Math.floor((kept.length * maxLogChars) / bytes) - 1)
  return { text: kept, isCut: kept.length < text.length }
}
