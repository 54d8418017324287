// One timer for each deployment: when its next deadline is over. What happens then is left to the driver.
import type { Clock } from '../ports.ts'

export type DeadlineTimers = {
  /** In place of the one it had. @param atMs null: it waits for nothing */
  set(deployment: string, atMs: number | null): void
  /** None is left, and none is set any more. */
  stop(): void
}

export const createDeadlineTimers = (clock: Clock, passed: (deployment: string) => void): DeadlineTimers => {
  const cancels = new Map<string, () => void>()
  let isStopped = false
  return {
    set: (deployment, atMs) => {
      cancels.get(deployment)?.()
      cancels.delete(deployment)
      if (atMs === null || isStopped) return
      const cancel = clock.at(atMs, () => passed(deployment))
      cancels.set(deployment, cancel)
    },
    stop: () => {
      isStopped = true
      for (const cancel of cancels.values()) cancel()
      cancels.clear()
    }
  }
}
