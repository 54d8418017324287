// How far a log has been read, so that it goes on after a lost connection: from where it is asked again, and which
// lines of the answer were shown already.
import type { LogEvent } from '@longshore/controller/api'
import type { LogQuestion } from './log-wish.ts'

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

/** The connection was lost. @returns what to ask, and the course to go on with */
export const askAgain = (
  course: LogCourse,
  first: LogQuestion
): { course: LogCourse; question: LogQuestion } => {
  if (course.lastAtMs === null) return { course, question: first }
  const sinceMs = Math.min(course.lastAtMs, ...course.away.values()) - overlapMs
  return {
    course: { ...course, shownTimes: course.lastTimes },
    question: { ...first, sinceMs: Math.max(0, sinceMs), tail: null }
  }
}
