// The health check of a spec in Docker's form. What its verdicts mean for a run is decided in health.ts.
import type { HealthcheckSpec } from '@longshore/protocol'

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
