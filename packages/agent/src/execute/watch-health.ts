// Looks at containers that must be, or become, healthy: by inspecting and probing them, at once when the engine tells
// of an event, and again after an engine restart, which stops and starts containers itself. Verdicts are core/health.ts.
import { type HealthState, judgeHealth, type Verdict } from '../core/health.ts'
import { type Answers, noAnswers, noteCheck, noteProbe, tellAnswers } from '../core/health-answers.ts'
import type { HealthRule } from '../core/observation.ts'
import type { ContainerRef } from '../core/steps.ts'
import { isEngineError, StepError } from '../engine-error.ts'
import type { ContainerLook, Runtime } from '../ports.ts'
import { demandContainer } from './containers.ts'
import type { Fallback } from './fallback.ts'
import { pause } from './pause.ts'
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
  answers: Answers
}
type ProbeResult = { isOk: boolean; detail: string }

/** A tenth of the time waited so far: a verdict is never found much later than it was there. */
export const nextLookMs = (waitedMs: number): number =>
  Math.min(lookEveryMs, Math.max(firstLooksEveryMs, waitedMs / 10))

export class HealthWatch {
  readonly #runtime: Runtime
  readonly #rule: HealthRule
  readonly #fallback: Fallback | null
  readonly #watches: readonly Watch[]
  readonly #unsubscribe: () => void
  /** Resolved by the next event of one of the containers. */
  #event = Promise.withResolvers<void>()

  constructor(runtime: Runtime, watches: readonly Watch[], rule: HealthRule, fallback: Fallback | null) {
    this.#runtime = runtime
    this.#rule = rule
    this.#fallback = fallback
    this.#watches = watches
    this.#unsubscribe = runtime.events.onEvent((id) => {
      if (watches.some((one) => one.id === id)) this.#happened(id)
    })
  }

  /** @param of.fallback who gets the traffic when one of the containers goes down */
  static async start(
    runtime: Runtime,
    of: { containers: readonly ContainerRef[]; rule: HealthRule; fallback?: Fallback | null },
    begin: (look: ContainerLook) => HealthState
  ): Promise<HealthWatch> {
    const watches: Watch[] = []
    for (const ref of of.containers) {
      const look = await ensureStarted(runtime, await demandContainer(runtime.engine, ref))
      const { id, name } = look
      watches.push({
        id,
        name,
        state: begin(look),
        isHealthy: false,
        probedAtMs: 0,
        probe: null,
        answers: noAnswers
      })
    }
    return new HealthWatch(runtime, watches, of.rule, of.fallback ?? null)
  }

  /**
   * Looks at each once that has no verdict yet.
   * @returns whether all are healthy, or stayed so for their time
   * @throws StepError for the first that is not
   */
  async lookAtAll(): Promise<boolean> {
    this.#event = Promise.withResolvers<void>()
    for (const watch of this.#watches) {
      if (watch.isHealthy) continue
      const verdict = await this.#lookOrRecover(watch)
      if (verdict.kind === 'healthy') {
        watch.isHealthy = true
        this.#tell(`${watch.name}: healthy`)
      }
      if (verdict.kind === 'failed') await this.#failWith(watch, verdict)
      if (verdict.kind === 'undecided') this.#tell(`${watch.name}: ${verdict.detail}`)
    }
    return this.#watches.every(({ isHealthy }) => isHealthy)
  }

  #tell(detail: string): void {
    const health = tellAnswers(this.#watches)
    this.#runtime.progress(detail, health.length === 0 ? {} : { health })
  }

  /** Shorter when something happens to one of the containers. */
  async pause(delayMs: number): Promise<void> {
    await Promise.race([pause(this.#runtime, delayMs), this.#event.promise])
  }

  stop(): void {
    this.#unsubscribe()
  }

  /** Not left to the next look: that may wait for a probe of a container that does not answer any more. */
  #happened(id: string): void {
    this.#event.resolve()
    if (this.#fallback === null) return
    const { engine } = this.#runtime
    const { take } = this.#fallback
    // An engine that does not answer is found out by the look.
    engine.inspectContainer(id).then(
      (look) => (look?.isRunning === true ? undefined : take()),
      () => undefined
    )
  }

  /** An engine that went away stopped all of them: each is judged anew, also one that was healthy before. */
  async #lookOrRecover(watch: Watch): Promise<Verdict> {
    try {
      return await this.#lookOnce(watch)
    } catch (error) {
      if (!isEngineError(error, 'unreachable', 'timed-out')) throw error
      await recoverEngine(this.#runtime, this.#watches, error)
      await this.#fallback?.giveBack()
      const atMs = this.#runtime.clock.monotonicMs()
      for (const one of this.#watches) {
        one.isHealthy = false
        judge(one, { kind: 'engine-returned', atMs })
      }
      return { kind: 'undecided', detail: 'the engine was restarted; looking again' }
    }
  }

  async #lookOnce(watch: Watch): Promise<Verdict> {
    // A late answer vouches for no more than the moment of the question.
    const atMs = this.#runtime.clock.monotonicMs()
    const look = await this.#lookTwiceWhenDown(watch.id)
    if (look === undefined)
      return {
        kind: 'failed',
        code: 'container-exited',
        detail: 'the container was removed by something else'
      }
    watch.answers = noteCheck(watch.answers, look.lastCheck)
    return judge(watch, {
      kind: 'looked',
      atMs,
      isRunning: look.isRunning,
      isRestarting: look.isRestarting,
      startedAt: look.startedAt,
      restartCount: look.restartCount,
      exitCode: look.exitCode,
      health: look.health,
      probe: await this.#probeWhenDue(watch, look)
    })
  }

  /** A container found down is looked at again: when the engine itself is going, the second look does not answer. */
  async #lookTwiceWhenDown(id: string): Promise<ContainerLook | undefined> {
    const { engine } = this.#runtime
    const look = await engine.inspectContainer(id)
    if (look === undefined || look.isRunning) return look
    await this.#fallback?.take()
    await pause(this.#runtime, doubtMs)
    return engine.inspectContainer(id)
  }

  /** @returns null between two probes while monitoring, so that one failure counts once */
  async #probeWhenDue(watch: Watch, look: ContainerLook): Promise<ProbeResult | null> {
    const { probe } = this.#rule
    if (probe === null || !look.isRunning) return null
    const isWaiting = watch.state.phase === 'waiting'
    const everyMs = isWaiting ? Math.min(probe.intervalMs, lookEveryMs) : probe.intervalMs
    const nowMs = this.#runtime.clock.monotonicMs()
    if (watch.probe !== null && nowMs - watch.probedAtMs < everyMs) return isWaiting ? watch.probe : null
    watch.probedAtMs = nowMs
    watch.probe = await probeOnce(this.#runtime, probe, look)
    const tookMs = this.#runtime.clock.monotonicMs() - nowMs
    watch.answers = noteProbe(watch.answers, { ...watch.probe, tookMs })
    return watch.probe
  }

  async #failWith(watch: Watch, verdict: Extract<Verdict, { kind: 'failed' }>): Promise<never> {
    await this.#fallback?.take()
    // The log is a help for people; without it the verdict stands all the same.
    const log = await this.#runtime.engine.readLog(watch.id, logLines).catch((): string[] => [])
    throw new StepError(verdict.code, `${watch.name}: ${verdict.detail}`, { log })
  }
}

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
