// The controller's time for everybody in this process: as its last welcome told it; before the first one, the host's.
import { controllerTimeAt, type TimeReading } from './core/controller-time.ts'
import type { Clock } from './ports.ts'

export type ControllerClock = {
  /** @param controllerMs as a welcome says it, now */
  told(controllerMs: number): void
  nowMs(): number
}

export const createControllerClock = (clock: Pick<Clock, 'nowMs' | 'monotonicMs'>): ControllerClock => {
  let time: TimeReading | undefined
  return {
    told: (controllerMs) => {
      time = { controllerMs, monotonicMs: clock.monotonicMs() }
    },
    nowMs: () => (time === undefined ? clock.nowMs() : controllerTimeAt(time, clock.monotonicMs()))
  }
}
