// Which containers crash again and again? Docker counts restarts from the container's start, so that a high count
// alone says nothing: what counts is how fast it grows, over all the inventories of the last minutes.
import type { Inventory } from '@longshore/protocol'

type Sample = { atMs: number; count: number }
/** Per container id, oldest first: the count whenever it was another one than before. */
export type RestartHistory = ReadonlyMap<string, readonly Sample[]>
export const noRestarts: RestartHistory = new Map()

/** Docker restarts a crashing container at least once a minute, so that this many fit easily. */
export const restartWindowMs = 5 * 60_000
const restartsOfALoop = 3

/** @returns the history of what the inventory still has */
export const noteRestarts = (history: RestartHistory, inventory: Inventory, atMs: number): RestartHistory =>
  new Map(
    inventory.containers.map(({ id, restartCount }) => [
      id,
      withSample(history.get(id) ?? [], { atMs, count: restartCount })
    ])
  )

/** Restarts within the window, of each container that crashes again and again. */
export const crashLoops = (history: RestartHistory, nowMs: number): ReadonlyMap<string, number> =>
  new Map(
    [...history].flatMap(([id, samples]) => {
      const restarts = growth(samples, nowMs)
      return restarts < restartsOfALoop ? [] : [[id, restarts] as const]
    })
  )

/** The last sample before the window stays: it is what the count was when the window began. */
const withSample = (samples: readonly Sample[], next: Sample): readonly Sample[] => {
  const last = samples.at(-1)
  if (last !== undefined && next.count < last.count) return [next]
  const known = last?.count === next.count ? samples : [...samples, next]
  const first = baseline(known, next.atMs)
  return known.slice(first)
}

const growth = (samples: readonly Sample[], nowMs: number): number => {
  const from = samples[baseline(samples, nowMs)]
  const last = samples.at(-1)
  return from === undefined || last === undefined ? 0 : last.count - from.count
}

const baseline = (samples: readonly Sample[], nowMs: number): number =>
  Math.max(
    0,
    samples.findLastIndex(({ atMs }) => atMs <= nowMs - restartWindowMs)
  )
