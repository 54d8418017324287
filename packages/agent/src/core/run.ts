// How one command is carried out, as a pure machine: plan from what the host looks like, forward step by step,
// back when a step fails, the run is cancelled or its time ends. The state is plain JSON; it is in the journal
// before each step begins and after it ended, so that after a crash `resumed` goes on from it. Executing steps
// and measuring time are left to runs.ts, what a state is to run-state.ts.
import type { RunError, StepName, StepReceipt } from '@longshore/protocol'
import { limits } from '@longshore/protocol'
import type { Observation } from './observation.ts'
import { planSteps } from './plan.ts'
import type { Forecast } from './plan-ahead.ts'
import { hasRetired, outcomeOf } from './run-outcome.ts'
import type { RunEffect, RunEvent, RunState, StepResult, Turn } from './run-state.ts'
import { type CommandExit, type Finding, movesTraffic, type Step } from './steps.ts'

/** The transition of the machine; an ended run takes no more events. */
export const stepRun = (before: RunState, event: RunEvent): Turn => {
  if (before.phase === 'ended') return { state: before, effects: [] }
  const state = { ...before, elapsedMs: Math.max(before.elapsedMs, event.atMs) }
  switch (event.kind) {
    case 'began':
      return { state, effects: [{ kind: 'observe' }] }
    case 'observed':
      return takePlan(state, event.observation)
    case 'observing-failed': {
      const failure = state.stop === null ? { ...event.error, step: null } : stopError(state.stop, null)
      return end({ ...state, failure })
    }
    case 'step-ended':
      return state.phase === 'undoing' ? afterUndoStep(state, event.result) : afterStep(state, event.result)
    case 'cancelled':
      return askToStop(state, 'cancelled')
    case 'time-limit-passed':
      return askToStop(state, 'time-limit')
    case 'resumed':
      return resume(state)
    default:
      return event satisfies never
  }
}

const takePlan = (state: RunState, observation: Observation): Turn => {
  if (state.phase !== 'observing') return { state, effects: [] }
  const plan = planSteps(state.task, observation, state.isForced)
  if (plan.kind === 'refusal') {
    const failure = { code: plan.code, detail: plan.detail, step: null, log: [] }
    return end({ ...state, before: plan.before, failure })
  }
  const planned: RunState = {
    ...state,
    phase: 'acting',
    isUntouched: plan.isUntouched,
    steps: plan.steps,
    undo: plan.undo,
    position: 0,
    before: plan.before,
    after: plan.after,
    found: { ...state.found, warnings: plan.warnings, forecast: plan.forecast ?? null }
  }
  if (state.stop !== null) return end({ ...planned, failure: stopError(state.stop, null) })
  const turn = goOn(planned)
  return plan.record === null
    ? turn
    : { ...turn, effects: [{ kind: 'remember-release', record: plan.record }, ...turn.effects] }
}

/** Begins the step at `position`, or ends the run behind the last one. */
const goOn = (state: RunState): Turn => {
  const list = state.phase === 'undoing' ? state.undo : state.steps
  const step = list[state.position]
  if (step === undefined) return end(state)
  const effect: RunEffect = { kind: 'execute', step, position: state.position + 1, total: list.length }
  return { state: { ...state, stepStartedMs: state.elapsedMs }, effects: [effect] }
}

const afterStep = (state: RunState, result: StepResult): Turn => {
  if (state.phase !== 'acting') return { state, effects: [] }
  const step = state.steps[state.position]
  if (step === undefined) return { state, effects: [] }
  const noted = note(state, step, result)
  if (result.kind === 'unknown' && !isTidyingCommand(noted, step))
    return afterUnknown({ ...noted, failure: { ...result.error, step: step.kind } })
  // A command that has ended is reported as it ended, however late somebody wanted it stopped.
  const isToLook = step.kind === 'start-command' && result.kind === 'done'
  if (state.stop !== null && noted.found.exit === null && !isToLook) {
    const log = result.kind === 'failed' ? result.error.log : []
    return goBack({ ...noted, failure: { ...stopError(state.stop, step.kind), log } })
  }
  if (result.kind === 'done') {
    const failure = noted.found.exit === null ? null : failedCommand(noted.found.exit)
    return goOn({ ...noted, failure, position: state.position + 1 })
  }
  if (noted.found.forecast !== null) return goOn(objectTo(noted, noted.found.forecast, result.error))
  if (isLenient(state, step)) {
    const warnings = [...noted.found.warnings, `${step.kind}: ${result.error.detail}`]
    return goOn({ ...noted, position: state.position + 1, found: { ...noted.found, warnings } })
  }
  if (state.isUntouched) return observeAgain(noted)
  return goBack({ ...noted, failure: { ...result.error, step: step.kind } })
}

/** What cannot be tidied up is left to a later settle: what serves is not at stake. A revert tidies up last. */
const isLenient = (state: RunState, step: Step): boolean => {
  const { kind } = state.task.command.body
  // What serves after a revert has the traffic by then; what is removed is removed all the same.
  if (step.kind === 'drain-containers') return kind === 'revert' || kind === 'remove'
  const isTidying = kind === 'revert' && step.kind === 'remove-container'
  return kind === 'settle' || isTidying || isTidyingCommand(state, step)
}

/** How the command ended is known by then, whatever becomes of its container. */
const isTidyingCommand = (state: RunState, step: Step): boolean =>
  state.task.command.body.kind === 'run-once' && step.kind === 'remove-container'

/** Of a rehearsal nothing may stay, also when the engine did not answer for a while. */
const afterUnknown = (state: RunState): Turn =>
  state.task.command.body.kind === 'rehearse' ? goBack(state) : end(state, true)

const failedCommand = ({ code, log }: CommandExit): RunError | null => {
  if (code === 0) return null
  const detail = `the release command ended with exit code ${code}`
  return { code: 'command-failed', detail, step: 'await-command', log, exitCode: code }
}

/** A check that a release would fail at is what a plan is asked for. */
const objectTo = (state: RunState, forecast: Forecast, error: Omit<RunError, 'step'>): RunState => {
  const { code, detail } = error
  const refusals = [...forecast.refusals, { code, detail: detail.slice(0, limits.maxReasonChars) }]
  const found = { ...state.found, forecast: { ...forecast, refusals } }
  return { ...state, found, position: state.position + 1 }
}

const observeAgain = (state: RunState): Turn => ({
  state: { ...state, phase: 'observing', isForced: true, steps: [], position: 0 },
  effects: [{ kind: 'observe' }]
})

/** A failed undo step is no reason to leave the next one out: the old container may start all the same. */
const afterUndoStep = (state: RunState, result: StepResult): Turn => {
  const step = state.undo[state.position]
  if (step === undefined) return { state, effects: [] }
  const noted = note(state, step, result)
  if (result.kind === 'unknown') return end(noted, true)
  const isCommand = state.task.command.body.kind === 'run-once'
  const isTidying = step.kind === 'remove-container' || step.kind === 'drain-containers'
  const isBack = result.kind === 'done' || (isTidying && !isCommand)
  // Who still has the traffic must not be removed.
  if (!isBack && movesTraffic(step)) return end({ ...noted, hasUndoFailed: true })
  return goOn({ ...noted, position: state.position + 1, hasUndoFailed: state.hasUndoFailed || !isBack })
}

/** Undoes what was begun; a plan that only looked so far has nothing to undo. */
const goBack = (state: RunState): Turn => {
  const begun = state.steps.slice(0, state.position + 1)
  const undo = state.undo.filter((step) => isNeeded(step, begun))
  if (undo.length === 0 || (state.task.command.body.kind === 'revert' && hasRetired(begun))) return end(state)
  return goOn({ ...state, phase: 'undoing', undo, position: 0 })
}

/** Containers that were never stopped or made need no way back. */
const isNeeded = (undo: Step, begun: readonly Step[]): boolean => {
  switch (undo.kind) {
    case 'remove-container':
      return begun.some((step) => step.kind === 'create-container')
    case 'rename-container':
      return begun.some((step) => step.kind === 'rename-container')
    case 'switch-traffic':
    case 'close-ports':
    case 'drain-containers':
      return begun.some(movesTraffic)
    case 'retire-container':
      return begun.some((step) => step.kind === 'start-container')
    default:
      return hasRetired(begun)
  }
}

const askToStop = (state: RunState, reason: 'cancelled' | 'time-limit'): Turn => {
  const { kind } = state.task.command.body
  const isOneWay = kind === 'revert' || kind === 'settle' || kind === 'remove' || isHandingOver(state)
  if (state.stop !== null || state.phase === 'undoing' || isOneWay) return { state, effects: [] }
  return { state: { ...state, stop: reason }, effects: [{ kind: 'interrupt' }] }
}

/** Which of the two programs goes on is decided within a limit of its own, and by nobody else. */
const isHandingOver = ({ phase, steps, position }: RunState): boolean =>
  phase === 'acting' && steps[position]?.kind === 'hand-over'

/**
 * The step under way is executed again: it finds what it had done. A run that was to stop goes back at once, unless a
 * command may have ended by itself meanwhile: that is looked at, and not waited for.
 */
const resume = (state: RunState): Turn => {
  if (state.phase === 'observing') return { state, effects: [{ kind: 'observe' }] }
  if (state.phase !== 'acting' || state.stop === null || state.found.exit !== null) return goOn(state)
  const step = state.steps[state.position]
  if (step?.kind !== 'start-command' && step?.kind !== 'await-command')
    return goBack({ ...state, failure: stopError(state.stop, step?.kind ?? null) })
  const turn = goOn(state)
  return { ...turn, effects: [{ kind: 'interrupt' }, ...turn.effects] }
}

const stopError = (reason: 'cancelled' | 'time-limit', step: string | null): RunError => ({
  code: reason,
  detail: reason === 'cancelled' ? 'the run was cancelled' : 'the run took longer than its time limit',
  step,
  log: []
})

const note = (state: RunState, step: Step, result: StepResult): RunState => {
  const receipt: StepReceipt = {
    step: state.phase === 'undoing' ? `undo ${step.kind}` : (step.kind satisfies StepName),
    startedMs: Math.round(state.stepStartedMs),
    endedMs: Math.round(state.elapsedMs),
    outcome: result.kind === 'done' ? 'done' : 'failed'
  }
  const receipts = [...state.receipts, receipt].slice(-limits.maxStepsPerRun)
  return {
    ...state,
    receipts,
    found: result.kind === 'done' ? takeFinding(state, result.finding) : state.found
  }
}

const takeFinding = ({ found }: RunState, finding: Finding): RunState['found'] => {
  switch (finding.kind) {
    case 'nothing':
      return found
    case 'digest':
      return { ...found, digest: finding.digest, served: finding.served ?? null }
    case 'fetched':
      return { ...found, served: finding.served, manifest: finding.manifest }
    case 'image':
      return { ...found, image: finding.image }
    case 'warnings':
      return { ...found, warnings: [...found.warnings, ...finding.warnings] }
    case 'exit':
      return { ...found, exit: finding.exit }
    case 'switched': {
      const { switchMs, gapMs } = finding
      return { ...found, traffic: { switchMs, gapMs, drainMs: null, closed: { requests: 0, upgraded: 0 } } }
    }
    case 'drained': {
      const { drainMs, closed } = finding
      return { ...found, traffic: found.traffic && { ...found.traffic, drainMs, closed } }
    }
    case 'notes':
      return { ...found, notes: [...found.notes, ...finding.notes] }
    case 'upgraded':
      return { ...found, upgraded: finding.versions }
    default:
      return finding satisfies never
  }
}

const end = (state: RunState, isUnknown = false): Turn => {
  const outcome = outcomeOf(state, isUnknown)
  return { state: { ...state, phase: 'ended', outcome }, effects: [{ kind: 'end', outcome }] }
}
