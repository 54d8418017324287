// What was counted elsewhere, given to the client library as a counter or histogram of its own.
import type { Histogram, Registry } from 'prom-client'
import type { HistogramFamily, HistogramSeries, Tally } from '../../core/metrics/tallies.ts'

export const renderTally = (
  prometheus: typeof import('prom-client'),
  registry: Registry,
  tally: Tally
): void => {
  const { name, help } = tally
  if (tally.type === 'counter') {
    const labelNames = [...tally.labelNames]
    const counter = new prometheus.Counter({ name, help, labelNames, registers: [registry] })
    for (const { labels, value } of tally.series) counter.inc({ ...labels }, value)
    return
  }
  const values = tally.series.flatMap((one) => samplesOf(tally, one))
  // the library's own can be told of observations only one by one: these were counted before
  const counted = { name, help, type: 'histogram', aggregator: 'sum', values }
  registry.registerMetric({ ...counted, get: async () => counted } as unknown as Histogram)
}

/** Buckets are cumulated there: each has all that the smaller ones have. */
const samplesOf = ({ name, bounds }: HistogramFamily, { labels, counts, sum }: HistogramSeries) => {
  let count = 0
  const buckets = counts.map((own, at) => {
    count += own
    const le = bounds[at] ?? '+Inf'
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: { ...labels }, value: sum },
    { metricName: `${name}_count`, labels: { ...labels }, value: count }
  ]
}
