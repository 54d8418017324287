// What a watched list looks like: a frame that fits the terminal, or the lines that changed. Pure.
import { stripVTControlCharacters } from 'node:util'
import { formatDuration, formatText, formatTime, shorten } from './format-values.ts'
import type { Colors } from './state-colors.ts'
import { takeColumns, widthOf } from './text-width.ts'

export type WatchState = {
  /** The list as the command prints it; null: not had yet. */
  text: string | null
  /** When the controller gave it. */
  shownAtMs: number | null
  /** Why nothing is heard; null: the connection stands. */
  lost: string | null
}
export type WatchFrame = { columns: number; rows: number; nowMs: number; colors: Colors }

/** Older than this is no longer called live, whatever the connection seems to be. */
const freshMs = 25_000

/** @returns lines no wider and no more than the terminal has */
export function renderWatchFrame(title: string, state: WatchState, frame: WatchFrame): string[] {
  const { colors } = frame
  const width = frame.columns - 1
  const isLive = state.lost === null && state.shownAtMs !== null && frame.nowMs - state.shownAtMs < freshMs
  const said = shorten(`${title}  ${describeFreshness(state.shownAtMs, frame.nowMs, isLive)}`, width)
  const why = state.lost === null ? [] : [`${formatText(state.lost)}; trying again`]
  const head = isLive
    ? [colors.bold(said)]
    : [said, ...why].map((line) => colors.yellow(shorten(line, width)))
  const lines = (state.text ?? '').split('\n').slice(0, -1)
  const room = Math.max(1, frame.rows - head.length)
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1)
  const hidden = lines.length - shown.length
  const more = hidden > 0 ? [shorten(`  and ${String(hidden)} more lines`, width)] : []
  const paint = (line: string): string => {
    const cut = cutLine(line, width)
    return isLive ? cut : colors.dim(stripVTControlCharacters(cut))
  }
  return [...head, ...shown.map(paint), ...more]
}

const describeFreshness = (shownAtMs: number | null, nowMs: number, isLive: boolean): string => {
  if (shownAtMs === null) return 'asking the controller'
  return isLive ? `live at ${formatTime(nowMs)}` : `NOT LIVE: as of ${formatDuration(nowMs - shownAtMs)} ago`
}

const escapeBegin = '\u001b['
const reset = `${escapeBegin}0m`

/** Cuts what is seen, keeps colours, and ends one that was cut off. */
export function cutLine(line: string, width: number): string {
  if (widthOf(stripVTControlCharacters(line)) <= width) return line
  const [first = '', ...colored] = line.split(escapeBegin)
  let room = Math.max(0, width - 1)
  const take = (text: string): string => {
    const taken = takeColumns(text, room)
    // a wide character that does not fit ends the line: what follows it must not take its place
    room = taken === text ? room - widthOf(taken) : 0
    return taken
  }
  let cut = take(first)
  for (const part of colored) {
    const end = part.indexOf('m') + 1
    cut += escapeBegin + part.slice(0, end) + take(part.slice(end))
  }
  return `${cut}…${colored.length > 0 ? reset : ''}`
}

/** What is new, different or gone, in the order of the list. */
export function changeLines(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>
): string[] {
  const changed = [...after].filter(([key, text]) => before.get(key) !== text)
  const gone = [...before.keys()].filter((key) => !after.has(key))
  return [...changed.map(([key, text]) => `${key}: ${text}`), ...gone.map((key) => `${key}: gone`)]
}
