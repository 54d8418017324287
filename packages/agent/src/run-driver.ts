// Drives one run: executes the effects of its machine, measures its time, writes its state into the journal at
// every turn. Which run may begin is left to runs.ts.
import { isLook, limits, type ProgressMessage, type RunReport } from '@longshore/protocol'
import type { ReleaseRecord } from './core/observation.ts'
import { stepRun } from './core/run.ts'
import type { RunEffect, RunEvent, RunState } from './core/run-state.ts'
import { isEngineError } from './engine-error.ts'
import { pause } from './execute/pause.ts'
import { enginePollMs, engineWaitMs } from './execute/wait-for-engine.ts'
import { describe, executeStep } from './executor.ts'
import { lookAtHost } from './look-at-host.ts'
import type { ImageHelp, Runtime, SentLogins } from './ports.ts'
import type { RunsPorts } from './runs.ts'

export type RunHandle = {
  /** Resolves with the stored report, or undefined when the agent stopped before the end. Rejects with the journal. */
  ended: Promise<RunReport | undefined>
  cancel(): void
  /** Begins no further step; resolves once the one under way has ended. */
  stop(): Promise<void>
}

type Ports = RunsPorts & { images: ImageHelp; logins: SentLogins }
/** Events without their time: the driver adds it. */
type Untimed<E> = E extends { atMs: number } ? Omit<E, 'atMs'> : never
type Happening = Untimed<RunEvent>

/** Begins a run, or goes on with one whose state was in the journal. */
export const driveRun = (
  ports: Ports,
  initial: RunState,
  tell: (message: ProgressMessage) => void
): RunHandle => new RunDriver(ports, initial, tell).handle()

class RunDriver {
  readonly #ports: Ports
  readonly #tell: (message: ProgressMessage) => void
  readonly #ended = Promise.withResolvers<RunReport | undefined>()
  readonly #startedAtMs: number
  readonly #elapsedBeforeMs: number
  #state: RunState
  #interruption = new AbortController()
  #isStopping = false
  /** The next step is one that was under way when an earlier process ended. */
  #isResuming = false
  #underWay: Promise<void> = Promise.resolve()
  #stopTimer: () => void

  constructor(ports: Ports, initial: RunState, tell: (message: ProgressMessage) => void) {
    this.#ports = ports
    this.#tell = tell
    this.#state = initial
    this.#startedAtMs = ports.clock.monotonicMs()
    this.#elapsedBeforeMs = initial.elapsedMs
    const leftMs = Math.max(0, initial.task.command.timeLimitMs - initial.elapsedMs)
    this.#stopTimer = ports.clock.after(leftMs, () => this.#take({ kind: 'time-limit-passed' }))
  }

  handle(): RunHandle {
    const isNew = this.#state.phase === 'observing' && this.#state.elapsedMs === 0
    this.#isResuming = !isNew
    this.#take({ kind: isNew ? 'began' : 'resumed' })
    return {
      ended: this.#ended.promise,
      cancel: () => this.#take({ kind: 'cancelled' }),
      stop: async () => {
        this.#isStopping = true
        this.#interruption.abort()
        this.#stopTimer()
        await this.#underWay
        this.#ended.resolve(undefined)
      }
    }
  }

  #take(happening: Happening): void {
    if (this.#isStopping || this.#state.phase === 'ended') return
    const atMs = this.#elapsedBeforeMs + this.#ports.clock.monotonicMs() - this.#startedAtMs
    try {
      const { state, effects } = stepRun(this.#state, { ...happening, atMs })
      this.#state = state
      if (state.phase !== 'ended')
        this.#ports.journal.saveRun(state.task.command.id, state, recordIn(effects))
      for (const effect of effects) this.#carryOut(effect)
    } catch (error) {
      this.#halt(error)
    }
  }

  /** What is not in the journal must not be done: the run stands still as the journal has it. */
  #halt(error: unknown): void {
    this.#isStopping = true
    this.#interruption.abort()
    this.#stopTimer()
    this.#ended.reject(error)
  }

  #carryOut(effect: RunEffect): void {
    switch (effect.kind) {
      case 'observe':
        this.#underWay = this.#observe()
        return
      case 'execute':
        this.#underWay = this.#execute(effect)
        return
      case 'interrupt':
        this.#interruption.abort()
        return
      case 'remember-release':
        // Written together with the state.
        return
      case 'end':
        this.#end(effect.outcome)
        return
      default:
        effect satisfies never
    }
  }

  async #observe(): Promise<void> {
    const { engine, clock } = this.#ports
    const runtime = this.#runtime('observe', 1, 1)
    const deadlineMs = clock.monotonicMs() + engineWaitMs
    for (;;) {
      try {
        const observe = await lookAtHost(this.#ports, this.#state)
        // In one tick with what is reserved: what this plan takes stands in the journal before another one is made.
        return this.#take({ kind: 'observed', observation: observe() })
      } catch (error) {
        const isAway = isEngineError(error, 'unreachable', 'timed-out')
        const isWorthWaiting = !this.#isLookingOnly() && clock.monotonicMs() < deadlineMs
        // nothing was changed yet, so that a run that is to stop need not wait for the engine
        if (!isAway || !isWorthWaiting || runtime.signal.aborted)
          return this.#take({ kind: 'observing-failed', error: describe(error) })
        runtime.progress('waiting for the Docker Engine')
        await pause(runtime, enginePollMs)
        // it may come back with another version
        await engine.ping().catch(() => undefined)
      }
    }
  }

  /** A vote is better given at once: an engine that is down when asked is a host that is not ready. */
  #isLookingOnly(): boolean {
    const { kind } = this.#state.task.command.body
    return isLook(kind) || kind === 'stage'
  }

  async #execute(effect: Extract<RunEffect, { kind: 'execute' }>): Promise<void> {
    // The way back is not interrupted by what began it.
    if (this.#state.phase === 'undoing') this.#interruption = new AbortController()
    const name = this.#state.phase === 'undoing' ? `undo ${effect.step.kind}` : effect.step.kind
    const runtime = this.#runtime(name, effect.position, effect.total)
    this.#tell(this.#messageOf(name, effect.position, effect.total))
    const isRepeated = this.#isResuming
    this.#isResuming = false
    const result = await executeStep({ ...runtime, isRepeated }, effect.step)
    this.#take({ kind: 'step-ended', result })
  }

  #runtime(step: string, position: number, total: number): Runtime {
    const { engine, proxy, events, host, images, logins, clock, successor } = this.#ports
    const { id } = this.#state.task.command
    return {
      engine,
      proxy,
      events,
      host,
      images,
      successor,
      logins: {
        find: (repository) => logins.find(id, repository),
        arrival: (signal) => logins.arrival(id, signal)
      },
      clock,
      signal: this.#interruption.signal,
      isRepeated: false,
      progress: (detail, more) =>
        this.#tell({ ...this.#messageOf(step, position, total), detail: detail.slice(0, 300), ...more }),
      output: (lines) =>
        this.#tell({
          ...this.#messageOf(step, position, total),
          lines: lines.slice(-limits.maxProgressLines).map((line) => line.slice(0, limits.maxReportLineChars))
        })
    }
  }

  #messageOf(step: string, position: number, total: number): ProgressMessage {
    return { type: 'progress', command: this.#state.task.command.id, step, position, total }
  }

  #end(outcome: NonNullable<RunState['outcome']>): void {
    this.#stopTimer()
    const { journal, clock } = this.#ports
    const { task, receipts } = this.#state
    this.#ended.resolve(journal.endRun(task.command.id, this.#state, outcome, receipts, clock.nowMs()))
  }
}

const recordIn = (effects: readonly RunEffect[]): ReleaseRecord | null =>
  effects.find((effect) => effect.kind === 'remember-release')?.record ?? null
