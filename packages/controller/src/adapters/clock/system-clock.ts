// The real time and the real randomness. Timers do not keep the process alive.
import { randomBytes } from 'node:crypto'
import type { Clock, Random } from '../../ports.ts'

/** setTimeout takes 31 bits; a longer wait is cut into pieces. */
const maxTimeoutMs = 2 ** 31 - 1

export const systemClock: Clock = {
  nowMs: Date.now,
  at: (atMs, wake) => {
    let timer: NodeJS.Timeout
    const wait = (): void => {
      const delayMs = Math.max(0, atMs - Date.now())
      const isLast = delayMs <= maxTimeoutMs
      timer = setTimeout(isLast ? wake : wait, isLast ? delayMs : maxTimeoutMs).unref()
    }
    wait()
    return () => clearTimeout(timer)
  }
}

export const systemRandom: Random = { bytes: (count) => randomBytes(count) }
