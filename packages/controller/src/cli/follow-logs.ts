// Follows logs across lost connections and restarts of the controller: asks again from shortly before, and leaves out
// what was shown already. What is shown, and how, is the caller's.
import type { LogEvent } from '../api/schemas.ts'
import { isPassing } from './cli-errors.ts'
import type { Client } from './client.ts'
import { pause, retryDelayMs } from './follow-deployment.ts'

export type LogsAsked = {
  environment: string
  service: string
  host: string | undefined
  follow: boolean
  sinceMs: number | undefined
  tail: number | undefined
  grep: string | undefined
}
/** Clocks of hosts and controller differ, and lines take their time: asked for twice, shown once. */
const overlapMs = 10_000

/**
 * Resolves when everything that was asked for has come; of a log that is followed when nothing more can.
 * @throws what does not pass by itself, or the signal's reason
 */
export async function followLogs(
  client: Pick<Client, 'logs'>,
  asked: LogsAsked,
  show: { event(event: LogEvent): void; notice(text: string): void },
  signal: AbortSignal
): Promise<void> {
  const seen = new Map<string, string>()
  const away = new Map<string, number>()
  let lastAtMs: number | null = null
  for (let failures = 0; ; failures += 1) {
    let lost = 'the controller closed the stream'
    const again =
      lastAtMs === null
        ? asked
        : { ...asked, tail: undefined, sinceMs: Math.min(lastAtMs, ...away.values()) - overlapMs }
    try {
      for await (const event of client.logs(again, signal)) {
        if (failures > 0) show.notice('connected to the controller again')
        failures = 0
        lastAtMs = Date.parse(event.at)
        noteAway(away, event)
        if (isNew(seen, event)) show.event(event)
        if (event.type === 'end') return
      }
    } catch (error) {
      signal.throwIfAborted()
      if (!asked.follow || !isPassing(error)) throw error
      lost = error instanceof Error ? error.message : String(error)
    }
    if (!asked.follow) throw new Error(`${lost} before everything had come`)
    if (failures === 0) show.notice(`${lost}; trying again`)
    await pause(retryDelayMs(failures), signal)
  }
}

/** Since when nothing came of a host: what it wrote from then on is still to be asked for. */
function noteAway(away: Map<string, number>, event: LogEvent): void {
  if (event.type !== 'host') return
  if (event.state === 'reading') away.delete(event.host)
  else if (!away.has(event.host)) away.set(event.host, Date.parse(event.at))
}

/** The engine's times are texts of one length, in order within a container. */
function isNew(seen: Map<string, string>, event: LogEvent): boolean {
  if (event.type !== 'line' || event.time === null) return true
  const key = `${event.host} ${event.container}`
  const last = seen.get(key)
  if (last !== undefined && event.time <= last) return false
  seen.set(key, event.time)
  return true
}
