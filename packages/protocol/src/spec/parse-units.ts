// Texts with a unit: durations, sizes, shares. Forms as in the Compose Specification.
import { ValueError } from './read-value.ts'
import type { Amount } from './service-spec.ts'

const durationUnitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000
}
const durationPart = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w)/g
/** A year; a longer wait is a mistake. */
const maxDurationMs = 366 * 86_400_000

/** `1m30s`, `1.5s`, `500ms`. @returns whole milliseconds */
export const parseDuration = (text: string): number => {
  if (text === '0') return 0
  if (text === '' || text.replace(durationPart, '') !== '') {
    throw new ValueError('expected a duration with a unit, for example 1m30s, 10s or 500ms')
  }
  let total = 0
  for (const [, number, unit] of text.matchAll(durationPart)) {
    total += Number(number) * (durationUnitsMs[unit ?? ''] ?? 0)
  }
  if (total > maxDurationMs) throw new ValueError('a duration is at most one year')
  if (total > 0 && total < 1) throw new ValueError('a duration is at least 1ms')
  return Math.round(total)
}

const sizePattern = /^(\d+(?:\.\d+)?)\s*([bkmgtp]?)(?:ib|b)?$/i

/** `512m`, `1.5gb`, `1024`: units of 1024. @returns bytes */
export const parseBytes = (text: string): number => {
  const match = sizePattern.exec(text.trim())
  if (match === null) throw new ValueError('expected a size in bytes, for example 512m, 1.5gb or 1048576')
  const unit = (match[2] ?? '').toLowerCase()
  const power = unit === '' || unit === 'b' ? 0 : 'kmgtp'.indexOf(unit) + 1
  const size = Math.floor(Number(match[1]) * 1024 ** power)
  if (!Number.isSafeInteger(size)) throw new ValueError('a size is at most 8 petabytes')
  return size
}

/** As `parseBytes`, and `-1` for no limit. */
export const parseBytesOrUnlimited = (text: string): number => (text === '-1' ? -1 : parseBytes(text))

/** `2` or `25%`. */
export const parseAmount = (text: string): Amount => {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)
  if (percent !== null) {
    const value = Number(percent[1])
    if (value <= 0 || value > 100) throw new ValueError('a share is more than 0% and at most 100%')
    return { unit: 'percent', value }
  }
  if (!/^\d{1,6}$/.test(text)) throw new ValueError('expected a number of hosts or a share like 25%')
  return { unit: 'count', value: Number(text) }
}
