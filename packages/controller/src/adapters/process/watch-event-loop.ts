// How late is this process? Once a second the longest delay of the event loop since the second before.
import { monitorEventLoopDelay } from 'node:perf_hooks'

const resolutionMs = 10
const everyMs = 1000

/** @returns ends the watching */
export const watchEventLoop = (lagged: (ms: number) => void): (() => void) => {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs })
  delays.enable()
  const timer = setInterval(() => {
    // each delay is measured from one tick of its own timer to the next, in nanoseconds
    if (delays.count > 0) lagged(Math.max(0, delays.max / 1e6 - resolutionMs))
    delays.reset()
  }, everyMs).unref()
  return () => {
    clearInterval(timer)
    delays.disable()
  }
}
