// From HAProxy's counters at two moments to what an inventory tells of each service's traffic.
import type { ServiceTraffic } from '@longshore/protocol'
import { type Counted, countedSince } from './compare-errors.ts'
import { isSameService } from './proxy/conflicts.ts'
import type { ServiceKey } from './proxy/routes.ts'

type Figures = ServiceKey & Counted & Pick<ServiceTraffic, 'sessions' | 'upgraded' | 'latencyMs'>
export type Sample = { atMs: number; figures: readonly Figures[] }

/** @param before null: there was no look before, so that nothing is known of the pace */
export const trafficBetween = (before: Sample | null, now: Sample): ServiceTraffic[] =>
  now.figures.map((one) => {
    const { environment, service, requests, errors, sessions, upgraded, latencyMs } = one
    const seconds = before === null ? 0 : (now.atMs - before.atMs) / 1000
    const since = countedSince(
      before?.figures.find((other) => isSameService(one, other)),
      one
    )
    const perSecond = (count: number): number => (seconds > 0 ? count / seconds : 0)
    return {
      environment,
      service,
      requests,
      errors,
      requestsPerSecond: perSecond(since.requests),
      errorsPerSecond: perSecond(since.errors),
      sessions,
      upgraded,
      latencyMs
    }
  })
