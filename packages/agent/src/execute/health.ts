// The two waiting steps: until containers are healthy, and while they must stay so. What is healthy is decided
// in core/health.ts; this looks at the containers, probes them, and starts again what an engine restart left down.
import {
  awaitHealth,
  type HealthState,
  healthyTimeoutOf,
  judgeHealth,
  monitorHealth,
  type Verdict
} from '../core/health.ts'
import type { HealthRule } from '../core/observation.ts'
import type { ContainerRef, Finding } from '../core/steps.ts'
import { isEngineError, StepError } from '../engine-error.ts'
import type { ContainerLook, Runtime } from '../ports.ts'
import { demandContainer, nothing, type StepOf } from './containers.ts'
import { pause, throwIfStopped } from './pause.ts'
import { engineWaitMs } from './wait-for-engine.ts'

/** Long enough to cost the engine nothing, however many containers are watched for however long. */
const lookEveryMs = 150
const firstLooksEveryMs = 25
/** An engine that stops may show a dead container for a moment before its socket closes. */
const doubtMs = 400
const logLines = 20

type Watch = {
  id: string
  name: string
  state: HealthState
  isHealthy: boolean
  probedAtMs: number
  probe: ProbeResult | null
}
type ProbeResult = { isOk: boolean; detail: string }

export const awaitHealthy = (runtime: Runtime, step: StepOf<'await-healthy'>): Promise<Finding> =>
  watchAll(runtime, step.containers, step.rule, (look) =>
    awaitHealth({
      hasProbe: step.rule.probe !== null,
      timeoutMs: step.rule.timeoutMs ?? healthyTimeoutOf(look.checkup),
      isTimeoutExplicit: step.rule.timeoutMs !== null,
      atMs: runtime.clock.monotonicMs()
    })
  )

export const monitor = (runtime: Runtime, step: StepOf<'monitor'>): Promise<Finding> =>
  watchAll(runtime, step.containers, step.rule, () =>
    monitorHealth({
      hasProbe: step.rule.probe !== null,
      monitorMs: step.forMs,
      atMs: runtime.clock.monotonicMs()
    })
  )

/** Looks at all containers in turn until each has its verdict; the first failure ends it. */
const watchAll = async (
  runtime: Runtime,
  refs: readonly ContainerRef[],
  rule: HealthRule,
  begin: (look: ContainerLook) => HealthState
): Promise<Finding> => {
  const watches: Watch[] = []
  for (const ref of refs) {
    const look = await ensureStarted(runtime, await demandContainer(runtime.engine, ref))
    const { id, name } = look
    watches.push({ id, name, state: begin(look), isHealthy: false, probedAtMs: 0, probe: null })
  }
  const beganAtMs = runtime.clock.monotonicMs()
  for (;;) {
    for (const watch of watches) {
      if (watch.isHealthy) continue
      const verdict = await lookOrRecover(runtime, watches, watch, rule)
      if (verdict.kind === 'healthy') watch.isHealthy = true
      if (verdict.kind === 'failed') await failWith(runtime, watch, verdict)
      if (verdict.kind === 'undecided') runtime.progress(`${watch.name}: ${verdict.detail}`)
    }
    if (watches.every(({ isHealthy }) => isHealthy)) return nothing
    throwIfStopped(runtime)
    await pause(runtime, nextLookMs(runtime.clock.monotonicMs() - beganAtMs))
  }
}

/** A tenth of the time waited so far: a verdict is never found much later than it was there. */
const nextLookMs = (waitedMs: number): number =>
  Math.min(lookEveryMs, Math.max(firstLooksEveryMs, waitedMs / 10))

/**
 * A step that is executed again may find its container stopped by an engine that ended meanwhile, or ended by
 * itself: nobody saw which, and the exit code does not tell. It is started once more and judged from then on; one
 * that ends by itself does so again.
 */
const ensureStarted = async (runtime: Runtime, look: ContainerLook): Promise<ContainerLook> => {
  if (look.isRunning || look.isRestarting || !runtime.isRepeated) return look
  await runtime.engine.startContainer(look.id)
  return (await runtime.engine.inspectContainer(look.id)) ?? look
}

/** An engine that went away stopped all of them: each is judged anew, also one that was healthy before. */
const lookOrRecover = async (
  runtime: Runtime,
  watches: readonly Watch[],
  watch: Watch,
  rule: HealthRule
): Promise<Verdict> => {
  try {
    return await lookOnce(runtime, watch, rule)
  } catch (error) {
    if (!isEngineError(error, 'unreachable', 'timed-out')) throw error
    await recoverEngine(runtime, watches, error)
    const atMs = runtime.clock.monotonicMs()
    for (const one of watches) {
      one.isHealthy = false
      judge(one, { kind: 'engine-returned', atMs })
    }
    return { kind: 'undecided', detail: 'the engine was restarted; looking again' }
  }
}

const lookOnce = async (runtime: Runtime, watch: Watch, rule: HealthRule): Promise<Verdict> => {
  const look = await lookTwiceWhenDown(runtime, watch.id)
  if (look === undefined)
    return { kind: 'failed', code: 'container-exited', detail: 'the container was removed by something else' }
  return judge(watch, {
    kind: 'looked',
    atMs: runtime.clock.monotonicMs(),
    isRunning: look.isRunning,
    isRestarting: look.isRestarting,
    startedAt: look.startedAt,
    restartCount: look.restartCount,
    exitCode: look.exitCode,
    health: look.health,
    probe: await probeWhenDue(runtime, watch, rule, look)
  })
}

/** A container found down is looked at again: when the engine itself is going, the second look does not answer. */
const lookTwiceWhenDown = async (runtime: Runtime, id: string): Promise<ContainerLook | undefined> => {
  const look = await runtime.engine.inspectContainer(id)
  if (look === undefined || look.isRunning) return look
  await pause(runtime, doubtMs)
  return runtime.engine.inspectContainer(id)
}

/** Waits for the engine and starts the containers that stayed down: they should serve. */
const recoverEngine = async (runtime: Runtime, watches: readonly Watch[], cause: unknown): Promise<void> => {
  const deadlineMs = runtime.clock.monotonicMs() + engineWaitMs
  for (;;) {
    try {
      await runtime.engine.ping()
      for (const { id } of watches) {
        const look = await runtime.engine.inspectContainer(id)
        if (look !== undefined && !look.isRunning && !look.isRestarting)
          await runtime.engine.startContainer(id)
      }
      return
    } catch (error) {
      if (!isEngineError(error, 'unreachable', 'timed-out')) throw error
      if (runtime.clock.monotonicMs() > deadlineMs) throw cause
    }
    await pause(runtime, lookEveryMs)
  }
}

const judge = (watch: Watch, event: Parameters<typeof judgeHealth>[1]): Verdict => {
  const { state, verdict } = judgeHealth(watch.state, event)
  watch.state = state
  return verdict
}

/** @returns null between two probes while monitoring, so that one failure counts once */
const probeWhenDue = async (
  runtime: Runtime,
  watch: Watch,
  rule: HealthRule,
  look: ContainerLook
): Promise<ProbeResult | null> => {
  const { probe } = rule
  if (probe === null || !look.isRunning) return null
  const isWaiting = watch.state.phase === 'waiting'
  const everyMs = isWaiting ? Math.min(probe.intervalMs, lookEveryMs) : probe.intervalMs
  const nowMs = runtime.clock.monotonicMs()
  if (watch.probe !== null && nowMs - watch.probedAtMs < everyMs) return isWaiting ? watch.probe : null
  watch.probedAtMs = nowMs
  watch.probe = await probeOnce(runtime, probe, look)
  return watch.probe
}

const probeOnce = async (
  runtime: Runtime,
  probe: NonNullable<HealthRule['probe']>,
  look: ContainerLook
): Promise<ProbeResult> => {
  // Docker's own proxy accepts connections to a published port before anything listens behind it
  const published = probe.type === 'tcp' ? [] : look.bindings.filter((one) => one.target === probe.port)
  const targets = [
    ...look.addresses.map((address) => ({ address, port: probe.port })),
    ...(look.isOnHostNetwork ? [{ address: '127.0.0.1', port: probe.port }] : []),
    ...published.map((one) => ({ address: isAny(one.hostIp) ? '127.0.0.1' : one.hostIp, port: one.port }))
  ]
  let last: ProbeResult = {
    isOk: false,
    detail: `the container has no address to probe port ${probe.port} at`
  }
  for (const target of targets) {
    last = await runtime.host.probe(probe, target.address, target.port)
    if (last.isOk) return last
  }
  return last
}

const isAny = (address: string): boolean => address === '' || address === '0.0.0.0' || address === '::'

const failWith = async (
  runtime: Runtime,
  watch: Watch,
  verdict: Extract<Verdict, { kind: 'failed' }>
): Promise<never> => {
  // The log is a help for people; without it the verdict stands all the same.
  const log = await runtime.engine.readLog(watch.id, logLines).catch((): string[] => [])
  throw new StepError(verdict.code, `${watch.name}: ${verdict.detail}`, log)
}
