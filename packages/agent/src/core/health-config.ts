// The health check of a spec in Docker's form, and how long to wait for `healthy` at most.
import type { HealthcheckSpec, ServiceSpec } from '@longshore/protocol'
import { healthyTimeoutOf as timeoutOfCheck } from './health.ts'

const nanosecondsPerMs = 1_000_000

/** Docker's `Healthcheck`: durations in nanoseconds; what is left out is inherited from the image. */
export type DockerHealthcheck = {
  readonly Test?: readonly string[]
  readonly Interval?: number
  readonly Timeout?: number
  readonly Retries?: number
  readonly StartPeriod?: number
  readonly StartInterval?: number
}

/** @param apiMinor `StartInterval` exists from 44 on */
export const healthConfigOf = (check: HealthcheckSpec, apiMinor: number): DockerHealthcheck => ({
  ...(check.test && { Test: check.test }),
  ...(check.intervalMs !== undefined && { Interval: check.intervalMs * nanosecondsPerMs }),
  ...(check.timeoutMs !== undefined && { Timeout: check.timeoutMs * nanosecondsPerMs }),
  ...(check.retries !== undefined && { Retries: check.retries }),
  ...(check.startPeriodMs !== undefined && { StartPeriod: check.startPeriodMs * nanosecondsPerMs }),
  ...(check.startIntervalMs !== undefined &&
    apiMinor >= 44 && { StartInterval: check.startIntervalMs * nanosecondsPerMs })
})

/**
 * How long a container may take to become healthy: the spec's own limit, or what its check needs at worst.
 * Each duration that the spec leaves out or sets to 0 is the image's, then Docker's default.
 * @param image the image's check from inspect, null when it has none
 * @returns milliseconds
 */
export const healthyTimeoutOfSpec = (spec: ServiceSpec, image: DockerHealthcheck | null): number => {
  if (spec.healthyTimeoutMs !== null) return spec.healthyTimeoutMs
  const own = spec.healthcheck
  const test = own?.test ?? image?.Test ?? null
  if (test === null || test.length === 0 || test[0] === 'NONE') return timeoutOfCheck(null)
  const toMs = (nanoseconds: number | undefined): number => (nanoseconds ?? 0) / nanosecondsPerMs
  return timeoutOfCheck({
    intervalMs: own?.intervalMs || toMs(image?.Interval),
    timeoutMs: own?.timeoutMs || toMs(image?.Timeout),
    retries: own?.retries || (image?.Retries ?? 0),
    startPeriodMs: own?.startPeriodMs || toMs(image?.StartPeriod)
  })
}
