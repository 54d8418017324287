// How far a reader of a log has come, so that it goes on after a lost connection: from where it asks again, and which
// lines of the answer were shown already. Pure; for the command line and for the page.
import type { LogEvent } from './schemas.ts'

export type LogCourse = {
  /** Of the last event, by the controller's clock; null: none came. */
  readonly lastAtMs: number | null
  /** Hosts of which nothing comes, and since when. */
  readonly away: ReadonlyMap<string, number>
  /** Container -> the engine's time of its last line. */
  readonly lastTimes: ReadonlyMap<string, string>
  /** The same when the log was asked for again: up to there lines were shown. */
  readonly shownTimes: ReadonlyMap<string, string>
}

export const notBegun: LogCourse = {
  lastAtMs: null,
  away: new Map(),
  lastTimes: new Map(),
  shownTimes: new Map()
}

/** Clocks of hosts and controller differ, and lines take their time: asked for twice, shown once. */
const overlapMs = 10_000

/** @returns the course after these events, and those of them that are news */
export const takeEvents = (
  course: LogCourse,
  events: readonly LogEvent[]
): { course: LogCourse; news: LogEvent[] } => {
  const away = new Map(course.away)
  const lastTimes = new Map(course.lastTimes)
  const news = events.filter((event) => {
    if (event.type === 'host') noteHost(away, event)
    if (event.type !== 'line' || event.time === null) return true
    const key = `${event.host} ${event.container}`
    const shown = course.shownTimes.get(key)
    // the engine's times are texts of one length
    if (shown !== undefined && event.time <= shown) return false
    lastTimes.set(key, event.time)
    return true
  })
  const last = events.at(-1)
  const lastAtMs = last === undefined ? course.lastAtMs : Date.parse(last.at)
  return { course: { ...course, lastAtMs, away, lastTimes }, news }
}

const noteHost = (away: Map<string, number>, { host, state, at }: LogEvent & { type: 'host' }): void => {
  if (state === 'reading') away.delete(host)
  else if (!away.has(host)) away.set(host, Date.parse(at))
}

/**
 * The connection was lost.
 * @returns the course to go on with, and from when to ask again, whatever tail was asked for: milliseconds since 1970 by the
 *   controller's clock; null: nothing came yet, so that the first question is asked once more
 */
export const askAgain = (course: LogCourse): { course: LogCourse; sinceMs: number | null } => {
  if (course.lastAtMs === null) return { course, sinceMs: null }
  const sinceMs = Math.min(course.lastAtMs, ...course.away.values()) - overlapMs
  return { course: { ...course, shownTimes: course.lastTimes }, sinceMs: Math.max(0, sinceMs) }
}
