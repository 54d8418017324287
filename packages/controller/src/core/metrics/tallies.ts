// Counters and histograms as plain numbers: what was counted so far, by labels. Who counts, and what, is
// engine/meters.ts; how it is written for Prometheus is adapters/http.

export type Labels = { readonly [name: string]: string }
export type CounterSeries = { labels: Labels; value: number }
/** `counts`: observations per bucket, not cumulated; the last one is of those above every bound. */
export type HistogramSeries = { labels: Labels; counts: number[]; sum: number }

type Family = { name: string; help: string; labelNames: readonly string[] }
export type CounterFamily = Family & { type: 'counter'; series: CounterSeries[] }
/** `bounds`: upper limits of the buckets, ascending. */
export type HistogramFamily = Family & {
  type: 'histogram'
  bounds: readonly number[]
  series: HistogramSeries[]
}
export type Tally = CounterFamily | HistogramFamily

export const addTo = (family: CounterFamily, labels: Labels): void => {
  const known = family.series.find((one) => isSame(family, one.labels, labels))
  if (known === undefined) family.series.push({ labels, value: 1 })
  else known.value += 1
}

export const observeIn = (family: HistogramFamily, labels: Labels, value: number): void => {
  const { bounds } = family
  let series = family.series.find((one) => isSame(family, one.labels, labels))
  if (series === undefined) {
    series = { labels, counts: bounds.map(() => 0).concat(0), sum: 0 }
    family.series.push(series)
  }
  const found = bounds.findIndex((bound) => value <= bound)
  const bucket = found === -1 ? bounds.length : found
  series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
  series.sum += value
}

const isSame = ({ labelNames }: Family, a: Labels, b: Labels): boolean =>
  labelNames.every((name) => a[name] === b[name])
