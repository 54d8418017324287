// One timer for each name: of a deployment for its next deadline, of an environment for the next look at it. What
// happens then is left to the caller.
import type { Clock } from '../ports.ts'

export type DeadlineTimers = {
  /** In place of the one it had. @param atMs null: it waits for nothing */
  set(name: string, atMs: number | null): void
  /** None is left, and none is set any more. */
  stop(): void
}

export const createDeadlineTimers = (clock: Clock, passed: (name: string) => void): DeadlineTimers => {
  const cancels = new Map<string, () => void>()
  let isStopped = false
  return {
    set: (name, atMs) => {
      cancels.get(name)?.()
      cancels.delete(name)
      if (atMs === null || isStopped) return
      const cancel = clock.at(atMs, () => passed(name))
      cancels.set(name, cancel)
    },
    stop: () => {
      isStopped = true
      for (const cancel of cancels.values()) cancel()
      cancels.clear()
    }
  }
}
