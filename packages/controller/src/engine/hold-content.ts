// A push checks that content is there, may wait for a registry, and refers to it only then. What it refers to is held
// meanwhile, so that collecting garbage beside it removes nothing of it: either side waits for the other.
import type { Digest } from '@longshore/protocol'
import type { Clock } from '../ports.ts'

export type Holds = {
  /** Resolves once none of it is being removed. @returns lets go; whoever counted references before that has to count again */
  hold(content: readonly Digest[]): Promise<() => void>
  /**
   * @param sinceMs what was let go later than this counts as held
   * @returns what `remove` says; false when it was not asked to
   */
  unlessHeld(content: Digest, sinceMs: number, remove: () => Promise<boolean>): Promise<boolean>
}

export const createHolds = (clock: Pick<Clock, 'nowMs'>): Holds => {
  const holders = new Map<Digest, number>()
  const letGoAtMs = new Map<Digest, number>()
  const leaving = new Map<Digest, Promise<unknown>>()

  const letGo = (one: Digest): void => {
    const left = (holders.get(one) ?? 1) - 1
    if (left > 0) holders.set(one, left)
    else holders.delete(one)
    letGoAtMs.set(one, clock.nowMs())
  }
  return {
    hold: async (content) => {
      for (const one of content) holders.set(one, (holders.get(one) ?? 0) + 1)
      await Promise.all(content.map((one) => leaving.get(one)))
      return () => {
        for (const one of content) letGo(one)
      }
    },
    unlessHeld: async (content, sinceMs, remove) => {
      for (const [one, atMs] of letGoAtMs) if (atMs < sinceMs) letGoAtMs.delete(one)
      if (holders.has(content) || letGoAtMs.has(content) || leaving.has(content)) return false
      const removing = remove()
      const over = removing.catch(() => {}).finally(() => leaving.delete(content))
      leaving.set(content, over)
      return removing
    }
  }
}
