// Which targets switch together: in the order given, first the canary, then as many at a time as the service file
// allows.
import type { Amount } from '@longshore/protocol'

export type Pace = { canary: Amount | null; parallelism: Amount }

/** Targets per batch. 0 and a share of 100 % mean all; a share never rounds down to nobody. */
const batchSize = ({ unit, value }: Amount, count: number): number => {
  if (value === 0) return Math.max(1, count)
  return unit === 'count' ? value : Math.max(1, Math.floor((count * value) / 100))
}

/** @returns the batch of each, numbered from 1, at the same position; the sizes are shares of all */
export const formBatches = ({ canary, parallelism }: Pace, count: number): number[] => {
  const size = batchSize(parallelism, count)
  const first = canary === null || canary.value === 0 ? size : batchSize(canary, count)
  return Array.from({ length: count }, (_, position) =>
    position < first ? 1 : Math.floor((position - first) / size) + 2
  )
}
