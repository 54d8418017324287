// The real time, the time that never jumps, and the real randomness. Timers do not keep the process alive.
import { randomBytes } from 'node:crypto'
import type { Clock, Random } from '../../ports.ts'

/** setTimeout takes 31 bits; a longer wait is cut into pieces. */
const maxTimeoutMs = 2 ** 31 - 1

export const clockOver = (nowMs: () => number): Clock => ({
  nowMs,
  at: (atMs, wake) => {
    let timer: NodeJS.Timeout
    const wait = (): void => {
      const delayMs = Math.max(0, Math.ceil(atMs - nowMs()))
      timer = setTimeout(look, Math.min(delayMs, maxTimeoutMs)).unref()
    }
    // a timer may fire a millisecond early, and much too early after the system time was set back
    const look = (): void => {
      if (nowMs() >= atMs) wake()
      else wait()
    }
    wait()
    return () => clearTimeout(timer)
  }
})

export const systemClock: Clock = clockOver(Date.now)
/** Milliseconds since the start of the process, for waits that a changed system time must not touch. */
export const steadyClock: Clock = clockOver(() => performance.now())

export const systemRandom: Random = { bytes: (count) => randomBytes(count) }
