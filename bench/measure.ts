// How the benchmarks take times: the wall clock around one piece of work, and the median of several, which one
// disturbed round does not move.

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

export const measureMs = async (work: () => Promise<unknown>): Promise<number> => {
  const beginMs = performance.now()
  await work()
  return performance.now() - beginMs
}
