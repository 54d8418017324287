// Lines of many hosts in one place, each behind its host; and what is to be said about them, apart from them. Pure.
import { describeLogEvent } from '../api/log-words.ts'
import type { LogEvent } from '../api/schemas.ts'
import { formatText } from './format-values.ts'

/** Names seen so far, for a column that only grows. */
export type LogPicture = {
  readonly width: number
  /** `HOST CONTAINER` -> replica. */
  readonly replicas: ReadonlyMap<string, number>
  /** Hosts with more than one replica: their lines say which. */
  readonly several: ReadonlySet<string>
}
export const emptyLogPicture: LogPicture = { width: 0, replicas: new Map(), several: new Set() }

/** Before the event is rendered. */
export function foldLogEvent(picture: LogPicture, event: LogEvent): LogPicture {
  if (event.type === 'end') return picture
  if (event.type !== 'container' || event.index === null || event.state !== 'begun')
    return widen(picture, event.host)
  const replicas = new Map(picture.replicas).set(`${event.host} ${event.container}`, event.index)
  const indexes = new Set(
    [...replicas].filter(([key]) => key.startsWith(`${event.host} `)).map(([, index]) => index)
  )
  const several = indexes.size > 1 ? new Set(picture.several).add(event.host) : picture.several
  return widen({ ...picture, replicas, several }, event.host)
}

const widen = (picture: LogPicture, host: string): LogPicture => ({
  ...picture,
  width: Math.max(picture.width, prefixOf(picture, host, picture.several.has(host) ? 0 : null).length)
})

const prefixOf = ({ several }: LogPicture, host: string, index: number | null): string =>
  index !== null && several.has(host) ? `${host}/${String(index + 1)}` : host

/** What a line is cut with. */
const cutMark = ' […]'

/** `host  | line`; controls that could paint on a terminal are blanks. */
export function renderLogLine(
  picture: LogPicture,
  event: Extract<LogEvent, { type: 'line' }>,
  hasTimes: boolean
): string {
  const prefix = formatText(prefixOf(picture, event.host, event.index)).padEnd(picture.width)
  const time = hasTimes ? `${event.time ?? '-'} ` : ''
  return `${prefix} | ${time}${cleanLine(event.text)}${event.isCut ? cutMark : ''}`
}

/** Colours go as a whole, what is left of other sequences is harmless; a tab stays one. */
const cleanLine = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    .replaceAll(/\x1b\[[0-9;]*m/g, '')
    .split('\t')
    .map(formatText)
    .join('\t')

/** @returns what people have to know beside the lines; null: nothing */
export const renderLogNotice = (event: LogEvent): string | null => describeLogEvent(event, formatText)
