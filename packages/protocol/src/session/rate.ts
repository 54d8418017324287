// How many failed enrolments and assertions an address may cause. Only failures count, so a fleet behind one
// address that behaves is never slowed. The table of addresses, and who sits behind a proxy, is the adapter's.
import { failureWindowMs, maxFailuresPerAddress } from '../limits.ts'

/** Failures of one address within a window that began with the first of them. */
export type FailureCount = { readonly failures: number; readonly sinceAtMs: number }

/** @param before undefined: none so far */
export const countFailure = (before: FailureCount | undefined, nowMs: number): FailureCount =>
  before === undefined || isForgotten(before, nowMs)
    ? { failures: 1, sinceAtMs: nowMs }
    : { failures: before.failures + 1, sinceAtMs: before.sinceAtMs }

/** 0: go on. Else: refuse with `rate-limited` without looking at the request, for this long. */
export const waitMsOf = (count: FailureCount | undefined, nowMs: number): number =>
  count === undefined || isForgotten(count, nowMs) || count.failures < maxFailuresPerAddress
    ? 0
    : count.sinceAtMs + failureWindowMs - nowMs

/** The entry can be dropped. A clock that was set back forgets too, instead of locking out for long. */
export const isForgotten = (count: FailureCount, nowMs: number): boolean =>
  nowMs >= count.sinceAtMs + failureWindowMs || nowMs < count.sinceAtMs

/**
 * What counts as one address: an IPv4 address; of IPv6 the /64 that one machine usually has to itself.
 * @param address as a socket gives it, `::ffff:192.0.2.1` and zone ids included
 */
export const rateKeyOf = (address: string): string => {
  const plain = address.replace(/%.*$/, '').toLowerCase()
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros =
    tail === undefined ? [] : Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0')
  const groups = [...before, ...zeros, ...after].slice(0, 4)
  return `${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`
}
