// When is a notification tried again, and when is it given up? Counted in tries: a clock that jumps neither gives
// anything up nor lets it wait for ever.

const second = 1000
const hour = 3600 * second
/** The waits grow threefold from 5 s to 1 h. */
const firstWaitMs = 5 * second
const growth = 3
export const maxWaitMs = hour
/** All waits together: a receiver that is down over a weekend misses nothing. */
export const maxTotalMs = 72 * hour

/** How the receiver answered. `gone`: it wants nothing more, ever (410). */
export type TryResult = 'delivered' | 'gone' | 'failed'
export type Verdict =
  | { kind: 'delivered' }
  | { kind: 'gone' }
  | { kind: 'again'; tries: number; nextAtMs: number }
  | { kind: 'given-up'; tries: number }

/** @param status of the answer; null: there was none */
export const resultOf = (status: number | null): TryResult => {
  if (status === 410) return 'gone'
  return status !== null && status >= 200 && status < 300 ? 'delivered' : 'failed'
}

/** @param triesBefore without the one that has just ended */
export const judgeTry = (result: TryResult, triesBefore: number, nowMs: number): Verdict => {
  if (result !== 'failed') return { kind: result }
  const tries = triesBefore + 1
  return tries >= maxTries
    ? { kind: 'given-up', tries }
    : { kind: 'again', tries, nextAtMs: nowMs + waitMs(tries) }
}

/** After that many failed tries. */
export const waitMs = (tries: number): number => Math.min(maxWaitMs, firstWaitMs * growth ** (tries - 1))

/** A wait longer than the longest one means that the clock was set back since. */
export const isDue = (nextAtMs: number, nowMs: number): boolean =>
  nextAtMs <= nowMs || nextAtMs > nowMs + maxWaitMs

const countTries = (): number => {
  let tries = 1
  for (let totalMs = waitMs(1); totalMs <= maxTotalMs; totalMs += waitMs(tries)) tries += 1
  return tries
}
export const maxTries = countTries()
