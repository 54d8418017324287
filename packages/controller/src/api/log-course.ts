// How far a reader of a log has come, so that it goes on after a lost connection: from where it asks again, and which
// lines of the answer were shown already. For the command line and for the page.
import type { LogEvent } from './schemas.ts'

export type LogCourse = {
  /** Whether any event has come yet. */
  readonly hasBegun: boolean
  /** Notes the event. @returns whether it is news: false for a line that was shown before the connection was lost */
  take(event: LogEvent): boolean
  /**
   * The connection was lost.
   * @returns from when to ask again, whatever tail was asked for: milliseconds since 1970 by the controller's clock; null:
   *   nothing came yet, so that the first question is asked once more
   */
  askAgain(): number | null
}

/** Clocks of hosts and controller differ, and lines take their time: asked for twice, shown once. */
const overlapMs = 10_000

export const createLogCourse = (): LogCourse => {
  /** Of the last event, by the controller's clock. */
  let lastAtMs: number | null = null
  /** Hosts of which nothing comes, and since when. */
  const away = new Map<string, number>()
  /** Container -> the engine's time of its last line. */
  const lastTimes = new Map<string, string>()
  /** The same when the log was asked for again: up to there lines were shown. */
  let shownTimes: ReadonlyMap<string, string> = new Map()

  const noteHost = ({ host, state }: LogEvent & { type: 'host' }, atMs: number): void => {
    if (state === 'reading') away.delete(host)
    else if (!away.has(host)) away.set(host, atMs)
  }
  return {
    get hasBegun() {
      return lastAtMs !== null
    },
    take: (event) => {
      lastAtMs = Date.parse(event.at)
      if (event.type === 'host') noteHost(event, lastAtMs)
      if (event.type !== 'line' || event.time === null) return true
      const key = `${event.host} ${event.container}`
      const shown = shownTimes.get(key)
      // the engine's times are texts of one length
      if (shown !== undefined && event.time <= shown) return false
      lastTimes.set(key, event.time)
      return true
    },
    askAgain: () => {
      if (lastAtMs === null) return null
      shownTimes = new Map(lastTimes)
      return Math.max(0, Math.min(lastAtMs, ...away.values()) - overlapMs)
    }
  }
}
