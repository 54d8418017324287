// How old is a moment, in words. Clocks differ a little: what is in the near future happened just now.

const minuteMs = 60_000
const units: readonly [name: string, ms: number][] = [
  ['d', 1440 * minuteMs],
  ['h', 60 * minuteMs],
  ['min', minuteMs],
  ['s', 1000]
]

/** @returns the largest unit that fits, `3 min` */
export const describeSpan = (ms: number): string => {
  const [name, size] = units.find(([, unit]) => ms >= unit) ?? ['s', 1000]
  return `${Math.floor(ms / size)} ${name}`
}

/** @returns `now`, `12 s ago`, `in 5 min` */
export const describeAge = (atMs: number, nowMs: number): string => {
  const ms = nowMs - atMs
  if (Math.abs(ms) < 1000) return 'now'
  if (ms > 0) return `${describeSpan(ms)} ago`
  return ms > -5000 ? 'now' : `in ${describeSpan(-ms)}`
}
