// The two waiting steps: until containers are healthy, and while they must stay so. What is healthy is decided
// in core/health.ts; looking is left to watch-health.ts.
import { awaitHealth, healthyTimeoutOf, monitorHealth } from '../core/health.ts'
import type { Finding } from '../core/steps.ts'
import type { Runtime } from '../ports.ts'
import { nothing, type StepOf } from './containers.ts'
import { createFallback } from './fallback.ts'
import { throwIfStopped } from './pause.ts'
import { HealthWatch, nextLookMs } from './watch-health.ts'

export const awaitHealthy = async (runtime: Runtime, step: StepOf<'await-healthy'>): Promise<Finding> =>
  watchToTheEnd(
    runtime,
    await HealthWatch.start(runtime, step, (look) =>
      awaitHealth({
        hasProbe: step.rule.probe !== null,
        timeoutMs: step.rule.timeoutMs ?? healthyTimeoutOf(look.checkup),
        isTimeoutExplicit: step.rule.timeoutMs !== null,
        atMs: runtime.clock.monotonicMs()
      })
    )
  )

export const monitor = async (runtime: Runtime, step: StepOf<'monitor'>): Promise<Finding> => {
  const fallback = step.fallback === undefined ? null : await createFallback(runtime, step.fallback)
  const { containers, rule, forMs } = step
  const watch = await HealthWatch.start(
    runtime,
    { containers, rule, fallback },
    watchedFor(runtime, step, forMs)
  )
  return watchToTheEnd(runtime, watch)
}

/** How each container is watched that was judged healthy before. */
export const watchedFor =
  ({ clock }: Runtime, { rule }: Pick<StepOf<'monitor'>, 'rule'>, monitorMs: number) =>
  () =>
    monitorHealth({ hasProbe: rule.probe !== null, monitorMs, atMs: clock.monotonicMs() })

/** Until each container has its verdict; the first failure ends it. */
export const watchToTheEnd = async (runtime: Runtime, watch: HealthWatch): Promise<Finding> => {
  const beganAtMs = runtime.clock.monotonicMs()
  try {
    for (;;) {
      if (await watch.lookAtAll()) return nothing
      throwIfStopped(runtime)
      await watch.pause(nextLookMs(runtime.clock.monotonicMs() - beganAtMs))
    }
  } finally {
    watch.stop()
  }
}
