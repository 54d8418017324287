// Do the new containers of a canary fail more requests than the old ones beside them? Pure: counters in, a verdict out.
// How long both share the traffic, and what follows, is left to the step.

export type Counted = { requests: number; errors: number }
export type Comparison =
  | { kind: 'worse'; detail: string }
  | { kind: 'no-worse'; detail: string }
  /** Too few requests to tell. */
  | { kind: 'unknown'; detail: string }

/** With fewer on either side one failed request would be a verdict. */
const minCompared = 20

/**
 * @param maxErrorRatio by how much the share of failed requests may be higher: 0.01 allows 3 % beside 2 %
 */
export const compareErrors = (former: Counted, next: Counted, maxErrorRatio: number): Comparison => {
  const detail = `new: ${words(next)}; old: ${words(former)}`
  if (former.requests < minCompared || next.requests < minCompared) return { kind: 'unknown', detail }
  const isWorse = shareOf(next) - shareOf(former) > maxErrorRatio
  return { kind: isWorse ? 'worse' : 'no-worse', detail }
}

const shareOf = ({ requests, errors }: Counted): number => errors / requests

const words = ({ requests, errors }: Counted): string => `${errors} of ${requests} requests failed`

/** What was counted since; a counter that is lower than before began anew. */
export const countedSince = (before: Counted | undefined, now: Counted): Counted => {
  if (before === undefined || now.requests < before.requests || now.errors < before.errors) return now
  return { requests: now.requests - before.requests, errors: now.errors - before.errors }
}
