// What HAProxy counts on single hosts becomes what a service does as a whole, and counters that never go back although
// those of an agent do.
import type { ServiceTraffic } from '@longshore/protocol'

/** How much traffic there is now. `errorRatio` null: there are no requests to have failed. */
export type Figures = Pick<
  ServiceTraffic,
  'requestsPerSecond' | 'errorsPerSecond' | 'sessions' | 'upgraded' | 'latencyMs'
> & { errorRatio: number | null }

/** The mean time of an answer is weighed by requests; null: no host knows one. */
export const sumFigures = (hosts: readonly Omit<Figures, 'errorRatio'>[]): Figures => {
  const sum = (of: (one: Omit<Figures, 'errorRatio'>) => number): number =>
    hosts.reduce((total, one) => total + of(one), 0)
  const requestsPerSecond = sum((one) => one.requestsPerSecond)
  const errorsPerSecond = sum((one) => one.errorsPerSecond)
  return {
    requestsPerSecond,
    errorsPerSecond,
    errorRatio: requestsPerSecond > 0 ? Math.min(1, errorsPerSecond / requestsPerSecond) : null,
    sessions: sum((one) => one.sessions),
    upgraded: sum((one) => one.upgraded),
    latencyMs: meanLatency(hosts)
  }
}

const meanLatency = (hosts: readonly Omit<Figures, 'errorRatio'>[]): number | null => {
  const known = hosts.flatMap(({ latencyMs, requestsPerSecond }) =>
    latencyMs === null ? [] : [{ latencyMs, requestsPerSecond }]
  )
  if (known.length === 0) return null
  const isIdle = known.every(({ requestsPerSecond }) => requestsPerSecond === 0)
  const weighed = known.map((one) => ({ ...one, weight: isIdle ? 1 : one.requestsPerSecond }))
  const weights = weighed.reduce((total, { weight }) => total + weight, 0)
  return weighed.reduce((total, { latencyMs, weight }) => total + latencyMs * weight, 0) / weights
}

export type Counts = { requests: number; errors: number }
export const noCounts: Counts = { requests: 0, errors: 0 }

export const addCounts = (a: Counts, b: Counts): Counts => ({
  requests: a.requests + b.requests,
  errors: a.errors + b.errors
})

/**
 * What came since the agent said `before`. An agent that counts anew says less than before: all of it is new.
 * @param before undefined: it had not named the service
 */
export const countsSince = (before: Counts | undefined, { requests, errors }: Counts): Counts =>
  before === undefined || requests < before.requests || errors < before.errors
    ? { requests, errors }
    : { requests: requests - before.requests, errors: errors - before.errors }
