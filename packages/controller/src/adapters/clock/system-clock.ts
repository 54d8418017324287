// The real time, the time that never jumps, and the real randomness. Timers do not keep the process alive.
import { randomBytes } from 'node:crypto'
import type { Clock, Random } from '../../ports.ts'

/** setTimeout takes 31 bits; a longer wait is cut into pieces. */
const maxTimeoutMs = 2 ** 31 - 1

const clockOver = (nowMs: () => number): Clock => ({
  nowMs,
  at: (atMs, wake) => {
    let timer: NodeJS.Timeout
    const wait = (): void => {
      const delayMs = Math.max(0, Math.ceil(atMs - nowMs()))
      const isLast = delayMs <= maxTimeoutMs
      timer = setTimeout(isLast ? wake : wait, isLast ? delayMs : maxTimeoutMs).unref()
    }
    wait()
    return () => clearTimeout(timer)
  }
})

export const systemClock: Clock = clockOver(Date.now)
/** Milliseconds since the start of the process, for waits that a changed system time must not touch. */
export const steadyClock: Clock = clockOver(() => performance.now())

export const systemRandom: Random = { bytes: (count) => randomBytes(count) }
