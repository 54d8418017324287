// Which targets switch together: in the order given, as many at a time as the service file allows.
import type { Amount } from '@longshore/protocol'

/** Targets per batch. 0 and a share of 100 % mean all; a share never rounds down to nobody. */
export const batchSize = (parallelism: Amount, count: number): number => {
  const { unit, value } = parallelism
  if (unit === 'count') return value === 0 ? Math.max(1, count) : value
  return value === 0 ? Math.max(1, count) : Math.max(1, Math.floor((count * value) / 100))
}

/** @returns the batch of each, numbered from 1, at the same position */
export const formBatches = (parallelism: Amount, count: number): number[] => {
  const size = batchSize(parallelism, count)
  return Array.from({ length: count }, (_, position) => Math.floor(position / size) + 1)
}
