// How the benchmarks take times: the wall clock around one piece of work, and the median of several, which one
// disturbed round does not move. And memory: what a process has, and whether something is steady.
import { readFileSync } from 'node:fs'

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

export const measureMs = async (work: () => Promise<unknown>): Promise<number> => {
  const beginMs = performance.now()
  await work()
  return performance.now() - beginMs
}

/** Of the time: looked at in the beginning and after each, eleven times. */
export const tenths = 10
const tolerance = 1.1

/** The last three looks are at most a tenth above the third to the fifth, by their medians: the first fill caches. */
export const isSteady = (looks: readonly number[]): boolean =>
  median(looks.slice(-3)) <= tolerance * median(looks.slice(2, 5))

/** Of memory that a collector gives back now and then: the last three looks are at most a tenth above the first half. */
export const isBounded = (looks: readonly number[]): boolean =>
  Math.max(...looks.slice(-3)) <= tolerance * Math.max(...looks.slice(0, looks.length >> 1))

export const residentMebibytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
