// How a single value looks to people: durations, sizes, times, digests, text that hosts wrote. Pure.
import { takeColumns, widthOf } from './text-width.ts'

/** `0.4s`, `12s`, `3m 05s`, `2h 10m`, `3d 4h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return `${String(Math.floor(seconds * 10) / 10)}s`
  if (seconds < 60) return `${String(Math.floor(seconds))}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${String(minutes)}m ${String(Math.floor(seconds % 60)).padStart(2, '0')}s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${String(hours)}h ${String(minutes % 60).padStart(2, '0')}m`
  return `${String(Math.floor(hours / 24))}d ${String(hours % 24)}h`
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Decimal units as `docker images` uses them: 1 MB is 1,000,000 bytes. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${units[unit] ?? 'B'}`
}

/** RFC 3339, UTC, to the second. */
export const formatTime = (atMs: number): string => new Date(atMs).toISOString().replace(/\.\d{3}Z$/, 'Z')

export const formatAge = (atMs: number | null, nowMs: number): string =>
  atMs === null ? 'never' : `${formatDuration(nowMs - atMs)} ago`

/** Enough of a digest to recognise it. */
export const formatDigest = (digest: string | null): string => (digest === null ? '-' : digest.slice(0, 19))

// Controls (Cc), format characters that reorder or hide text (Cf), and those that end a line (Zl, Zp): a host must not
// paint on a terminal.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Text from a host or a container in one line, safe to write to a terminal. */
export const formatText = (text: string): string => text.replaceAll(unprintable, ' ').trimEnd()

/** Cuts to `width` columns, with a mark where something is missing. */
export const shorten = (text: string, width: number): string =>
  widthOf(text) <= width ? text : width < 1 ? '' : `${takeColumns(text, width - 1)}…`
