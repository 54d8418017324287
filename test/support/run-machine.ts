// The machine of a run against an engine of plain data, as the driver drives it: dying in any turn, failing or being
// cancelled where a test wants. Every state goes through JSON, as through the journal.
import type { RunErrorCode } from '@longshore/protocol'
import fc from 'fast-check'
import type { Observation, ReleaseRecord, SeenContainer } from '../../packages/agent/src/core/observation.ts'
import { ownAddressIn } from '../../packages/agent/src/core/own-network.ts'
import type { Task } from '../../packages/agent/src/core/plan.ts'
import { stepRun } from '../../packages/agent/src/core/run.ts'
import {
  beginRun,
  type RunEvent,
  type RunState,
  type StepResult
} from '../../packages/agent/src/core/run-state.ts'
import { type ContainerRef, isMadeAs, type MadeRef, type Step } from '../../packages/agent/src/core/steps.ts'
import { routedReleaseOf } from '../../packages/agent/src/core/traffic.ts'
import { buildSampleRequest, releaseBody, sampleCommand, sampleDigest, sampleSpec } from './run-samples.ts'

export type Sim = SeenContainer & { isBroken: boolean }

/** An engine of plain data. Each step does what the executor's does, again and again if asked. */
export class SimulatedEngine {
  containers: Sim[] = []
  releases: ReleaseRecord[] = []
  isNextBroken = false
  /** A stranger removes what is stopped right before this kind of step. */
  pruneBefore: Step['kind'] | null = null
  starts = new Map<string, number>()
  /** How often commands ran, and how the next one ends. */
  commandStarts = 0
  exitCode = 0
  readonly violations: string[] = []
  #made = 0

  perform(step: Step): StepResult {
    const done: StepResult = { kind: 'done', finding: { kind: 'nothing' } }
    if (step.kind === this.pruneBefore)
      this.containers = this.containers.filter((one) => one.state === 'running')
    switch (step.kind) {
      case 'create-container':
        if (this.containers.every((one) => one.name !== step.name)) this.#create(step)
        return done
      case 'remake-container':
        this.isNextBroken = false
        if (!this.containers.some((one) => refersTo(step.container, one)))
          this.#create({ ...step, kind: 'create-container' })
        return done
      case 'retire-container':
        if (!this.containers.some((one) => one.state === 'created'))
          this.violations.push('stopped before created')
        this.#change(step.container, { state: 'exited', restart: { name: 'no', maxRetries: 0 } })
        return done
      case 'start-container':
        this.#start(step)
        return done
      case 'rename-container':
        this.#change(step.container, { name: step.name })
        return done
      case 'start-command':
        this.#startCommand(step)
        return done
      case 'await-command':
        return this.#awaitCommand(step)
      case 'remove-container':
        this.containers = this.containers.filter((one) => !refersTo(step.container, one))
        return done
      case 'await-healthy':
        return this.containers.some(
          (one) => step.containers.some((ref) => refersTo(ref, one)) && one.isBroken
        )
          ? failed('container-exited')
          : done
      case 'verify-image':
        return {
          kind: 'done',
          finding: {
            kind: 'image',
            image: { digest: step.digest, platform: 'linux/amd64', diffIds: [], sizeBytes: 1 }
          }
        }
      default:
        return done
    }
  }

  observe(): Observation {
    return { containers: this.containers, releases: this.releases }
  }

  /** Releases of the containers that run to serve. */
  running(): number[] {
    return this.containers.flatMap((one) =>
      one.state === 'running' && one.owner?.purpose !== 'rehearsal' ? [one.owner?.release ?? 0] : []
    )
  }

  #create(step: Extract<Step, { kind: 'create-container' }>): void {
    this.#made += 1
    this.containers.push({
      id: `id${this.#made}`,
      name: step.name,
      state: 'created',
      health: 'none',
      image: String(step.request.body['Image']),
      createdAtMs: this.#made,
      restart: { name: 'no', maxRetries: 0 },
      owner: step.owner,
      publishes: [],
      ownAddress: ownAddressIn(step.request),
      isBroken: this.isNextBroken
    })
  }

  #start(step: Extract<Step, { kind: 'start-container' }>): void {
    for (const one of this.containers) {
      if (!refersTo(step.container, one) || one.state === 'running') continue
      this.starts.set(one.id, (this.starts.get(one.id) ?? 0) + 1)
      if (this.containers.some((other) => isRival(one, other)))
        this.violations.push('two releases run at once')
      Object.assign(one, { state: 'running', restart: step.restart })
    }
  }

  /** Only one that was never started is: what is found begun or ended stays as it is. */
  #startCommand(step: Extract<Step, { kind: 'start-command' }>): void {
    for (const one of this.containers) {
      if (!refersTo(step.container, one) || one.state !== 'created') continue
      this.commandStarts += 1
      one.state = 'exited'
    }
  }

  #awaitCommand(step: Extract<Step, { kind: 'await-command' }>): StepResult {
    const found = this.containers.find((one) => refersTo(step.container, one))
    if (found?.state === 'exited')
      return { kind: 'done', finding: { kind: 'exit', exit: { code: this.exitCode, log: ['last words'] } } }
    return { kind: 'unknown', error: { code: 'interrupted', detail: 'it is gone', log: [] } }
  }

  #change(ref: ContainerRef, change: Partial<Sim>): void {
    for (const one of this.containers) if (refersTo(ref, one)) Object.assign(one, change)
  }
}

/** Runs, and takes the place that the one to be started is for: another release, or the same replica of this one. */
const isRival = (one: Sim, other: Sim): boolean =>
  other.state === 'running' &&
  one.owner?.purpose === 'serving' &&
  (other.owner === null ||
    (other.owner.purpose === 'serving' &&
      (other.owner.release !== one.owner.release || other.owner.index === one.owner.index)))

export const refersTo = (ref: ContainerRef, one: Sim): boolean => {
  const isMade = (made: MadeRef | undefined) =>
    made !== undefined && one.owner !== null && isMadeAs(one.owner, made)
  return ref.by === 'id' ? ref.id === one.id || isMade(ref.remade) : isMade(ref)
}

export const failed = (code: RunErrorCode): StepResult => ({
  kind: 'failed',
  error: { code, detail: 'as the test wanted', log: [] }
})

export type Trouble = {
  /** Turns after which the agent dies: before the step began, or after it was done and not yet noted. */
  crashes: Set<number>
  failAt?: number
  cancelAt?: number
}

/**
 * Any course of trouble.
 * @param latest moment of a crash (two for each turn), step that fails, turn of the cancellation
 */
export const anyTrouble = (latest: { crashAt: number; failAt: number; cancelAt: number }) =>
  fc
    .record({
      crashes: fc.uniqueArray(fc.integer({ min: 2, max: latest.crashAt }), { maxLength: 6 }),
      failAt: fc.option(fc.integer({ min: 0, max: latest.failAt }), { nil: undefined }),
      cancelAt: fc.option(fc.integer({ min: 1, max: latest.cancelAt }), { nil: undefined })
    })
    .map(
      ({ crashes, failAt, cancelAt }): Trouble => ({
        crashes: new Set(crashes),
        ...(failAt === undefined ? {} : { failAt }),
        ...(cancelAt === undefined ? {} : { cancelAt })
      })
    )

/** Runs a task to its end, as the driver does, dying where the test wants; every state goes through JSON. */
export const finish = (engine: SimulatedEngine, task: Task, trouble: Trouble): RunState => {
  let state = beginRun(task)
  let turn = 0
  const take = (event: RunEvent) => {
    const next = stepRun(state, event)
    state = JSON.parse(JSON.stringify(next.state)) as RunState
    return next.effects
  }
  let effects = take({ kind: 'began', atMs: 0 })
  while (state.phase !== 'ended') {
    turn += 1
    if (turn > 500) throw new Error('the run does not end')
    if (trouble.cancelAt === turn) {
      take({ kind: 'cancelled', atMs: turn })
    }
    const effect = effects.find((one) => one.kind === 'observe' || one.kind === 'execute')
    for (const { record } of effects.filter((one) => one.kind === 'remember-release'))
      engine.releases.push(record)
    if (effect === undefined) throw new Error('a run that has not ended waits for nothing')
    if (trouble.crashes.has(turn * 2)) {
      effects = take({ kind: 'resumed', atMs: turn })
      continue
    }
    if (effect.kind === 'observe') {
      effects = take({ kind: 'observed', atMs: turn, observation: engine.observe() })
      continue
    }
    const isForward = state.phase === 'acting'
    const result =
      isForward && trouble.failAt === state.position ? failed('port-taken') : engine.perform(effect.step)
    effects = trouble.crashes.has(turn * 2 + 1)
      ? take({ kind: 'resumed', atMs: turn })
      : take({ kind: 'step-ended', atMs: turn, result })
  }
  return state
}

export const taskOf = (
  number: number,
  release: number,
  more: Parameters<typeof releaseBody>[3] & { canaryMaxErrorRatio?: number } = {},
  spec = sampleSpec()
): Task => {
  const image = { repository: 'registry.test/web', tag: 'v1', digest: sampleDigest }
  return {
    command: sampleCommand(number, releaseBody(release, spec, image, more)),
    specHash: `spec${release}`,
    minFreeBytes: 0,
    requests: Array.from({ length: spec.replicas }, () =>
      buildSampleRequest({
        spec,
        image: `registry.test/web@${sampleDigest}`,
        name: '',
        labels: {},
        ...(routedReleaseOf(spec) && { ownNetwork: { name: 'longshore', ipv4Address: '0.0.0.0' } })
      })
    )
  }
}

export const noTrouble: Trouble = { crashes: new Set() }

export const withFirstRelease = (): SimulatedEngine => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 1), noTrouble)
  return engine
}
