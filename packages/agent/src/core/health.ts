// Is a container healthy? Pure: observations in, a verdict out. How often to look, and how to reach the
// container, is left to the executor. An engine that went away makes no verdict: its return starts the watch
// again, because the engine itself stops and starts containers.
import type { RunErrorCode } from '@longshore/protocol'
import type { Health } from './observation.ts'

/** Without any check a container must run unchanged for this long: a crash loop shows Running=true in between. */
export const stableForMs = 5_000
/** Shortest default of the healthy time limit. */
export const minHealthyTimeoutMs = 60_000
/** While a healthy container is watched, this many failed probes in a row are a verdict; one may be a hiccup. */
export const failedProbesLimit = 3

/** Docker's own defaults of HEALTHCHECK, milliseconds (docs.docker.com/reference/dockerfile/#healthcheck). */
const dockerDefaults = { intervalMs: 30_000, timeoutMs: 30_000, retries: 3, startPeriodMs: 0 }

export type Checkup = { intervalMs: number; timeoutMs: number; retries: number; startPeriodMs: number }

/** @param check from inspect; zero stands for Docker's default */
export const healthyTimeoutOf = (check: Checkup | null): number => {
  if (check === null) return minHealthyTimeoutMs
  const { startPeriodMs } = check
  const intervalMs = check.intervalMs || dockerDefaults.intervalMs
  const timeoutMs = check.timeoutMs || dockerDefaults.timeoutMs
  const retries = check.retries || dockerDefaults.retries
  return Math.max(minHealthyTimeoutMs, startPeriodMs + (retries + 1) * (intervalMs + timeoutMs))
}

export type HealthState = {
  phase: 'waiting' | 'monitoring'
  hasProbe: boolean
  timeoutMs: number
  /** An explicit limit means that Docker's `unhealthy` is not the last word before it. */
  isTimeoutExplicit: boolean
  monitorMs: number
  /** When this phase began. */
  sinceMs: number
  /** Since when StartedAt and RestartCount have been what they are; null before the first look. */
  steady: { startedAt: string; restartCount: number; sinceMs: number } | null
  failedProbes: number
}

export type HealthEvent =
  | {
      kind: 'looked'
      atMs: number
      isRunning: boolean
      isRestarting: boolean
      startedAt: string
      restartCount: number
      exitCode: number
      health: Health
      /** null: not probed. */
      probe: { isOk: boolean; detail: string } | null
    }
  /** The engine was away and answers again; the container may have been started by it or by us. */
  | { kind: 'engine-returned'; atMs: number }

export type Verdict =
  | { kind: 'undecided'; detail: string }
  | { kind: 'healthy' }
  | { kind: 'failed'; code: RunErrorCode; detail: string }

/** Begins the wait until a container is healthy. */
export const awaitHealth = (rule: {
  hasProbe: boolean
  timeoutMs: number
  isTimeoutExplicit: boolean
  atMs: number
}): HealthState => ({
  phase: 'waiting',
  hasProbe: rule.hasProbe,
  timeoutMs: rule.timeoutMs,
  isTimeoutExplicit: rule.isTimeoutExplicit,
  monitorMs: 0,
  sinceMs: rule.atMs,
  steady: null,
  failedProbes: 0
})

/** Begins the watch over a container that was judged healthy: `healthy` now means that it stayed so. */
export const monitorHealth = (rule: { hasProbe: boolean; monitorMs: number; atMs: number }): HealthState => ({
  phase: 'monitoring',
  hasProbe: rule.hasProbe,
  timeoutMs: 0,
  isTimeoutExplicit: false,
  monitorMs: rule.monitorMs,
  sinceMs: rule.atMs,
  steady: null,
  failedProbes: 0
})

/** One look at the container. */
export const judgeHealth = (
  state: HealthState,
  event: HealthEvent
): { state: HealthState; verdict: Verdict } => {
  switch (event.kind) {
    case 'engine-returned':
      return {
        state: { ...state, sinceMs: event.atMs, steady: null, failedProbes: 0 },
        verdict: { kind: 'undecided', detail: 'the engine was restarted; looking again' }
      }
    case 'looked': {
      const steady = state.steady ?? {
        startedAt: event.startedAt,
        restartCount: event.restartCount,
        sinceMs: event.atMs
      }
      const failedProbes =
        event.probe === null ? state.failedProbes : event.probe.isOk ? 0 : state.failedProbes + 1
      const next = { ...state, steady, failedProbes }
      return { state: next, verdict: judgeLook(next, steady, event) }
    }
    default:
      return event satisfies never
  }
}

type Look = Extract<HealthEvent, { kind: 'looked' }>

const judgeLook = (state: HealthState, steady: NonNullable<HealthState['steady']>, look: Look): Verdict => {
  if (look.isRestarting || look.restartCount !== steady.restartCount)
    return failed('container-restarted', `the container ended${exitOf(look)} and was restarted`)
  if (!look.isRunning)
    return failed('container-exited', `the container ended with exit code ${look.exitCode}`)
  if (look.startedAt !== steady.startedAt)
    return failed('container-restarted', 'the container was started again by something else')
  return state.phase === 'waiting' ? judgeWaiting(state, steady, look) : judgeMonitored(state, look)
}

/** Once a container runs again the engine tells 0, however it had ended (docs.docker.com/reference/api/engine). */
const exitOf = (look: Look): string =>
  look.isRunning && !look.isRestarting ? '' : ` with exit code ${look.exitCode}`

const judgeWaiting = (
  state: HealthState,
  steady: NonNullable<HealthState['steady']>,
  look: Look
): Verdict => {
  const missing = missingCheck(state, steady, look)
  if (missing === null) return { kind: 'healthy' }
  if (look.health === 'unhealthy' && !state.isTimeoutExplicit)
    return failed('unhealthy', 'the health check of the container failed as often as its retries allow')
  if (look.atMs - state.sinceMs < state.timeoutMs) return { kind: 'undecided', detail: missing }
  const code = look.health === 'unhealthy' ? 'unhealthy' : 'health-timeout'
  return failed(code, `not healthy after ${state.timeoutMs} ms: ${missing}`)
}

/** @returns what still keeps the container from being healthy; null: nothing */
const missingCheck = (
  state: HealthState,
  steady: NonNullable<HealthState['steady']>,
  look: Look
): string | null => {
  if (look.health === 'starting' || look.health === 'unhealthy') return `the health check says ${look.health}`
  if (state.hasProbe && look.probe?.isOk !== true) return look.probe?.detail ?? 'not probed yet'
  const hasCheck = look.health === 'healthy' || state.hasProbe
  if (!hasCheck && look.atMs - steady.sinceMs < stableForMs) return 'running, not yet for long enough'
  return null
}

const judgeMonitored = (state: HealthState, look: Look): Verdict => {
  if (look.health === 'unhealthy')
    return failed('unhealthy', 'the health check began to fail after the switch')
  if (state.failedProbes >= failedProbesLimit)
    return failed('unhealthy', `the probe began to fail after the switch: ${look.probe?.detail ?? ''}`)
  if (look.atMs - state.sinceMs < state.monitorMs || look.health === 'starting')
    return { kind: 'undecided', detail: 'healthy, being watched' }
  return { kind: 'healthy' }
}

const failed = (code: RunErrorCode, detail: string): Verdict => ({ kind: 'failed', code, detail })
