// What a run reports when it ends: how it ended, what it found, and which release serves then. Decided from the state
// alone, which names every step that was begun; how the state came about is run.ts.
import type { RunOutcome, RunResult, StagedImage } from '@longshore/protocol'
import { limits } from '@longshore/protocol'
import type { Served } from './plan.ts'
import type { Forecast } from './plan-ahead.ts'
import type { RunState } from './run-state.ts'
import { isRetiring, movesContainers, movesTraffic, type Step } from './steps.ts'

/** @param isUnknown the last step neither succeeded nor failed as far as anybody can know */
export const outcomeOf = (state: RunState, isUnknown: boolean): RunOutcome => {
  const { failure } = state
  if (failure === null) return { status: 'succeeded', result: resultOf(state), ...state.after }
  const error = { ...failure, detail: failure.detail.slice(0, limits.maxReasonChars) }
  if (isBeside(state))
    return { status: isUnsureOfCommand(state, isUnknown) ? 'unknown' : 'failed', error, ...state.before }
  // Networks and images alone never change what serves.
  const isAtStake = state.steps.slice(0, state.position + 1).some((step) => movesContainers(step.kind))
  if (isUnknown && (state.phase === 'undoing' || isAtStake))
    return { status: 'unknown', error, serving: 'unknown', release: null }
  return { status: 'failed', error, ...servedAfterFailure(state) }
}

/** Whether something that served was stopped, or was about to be. */
export const hasRetired = (begun: readonly Step[]): boolean => begun.some(isRetiring)

/** What serves is not touched by it. */
const isBeside = ({ task }: RunState): boolean => {
  const { kind } = task.command.body
  return kind === 'run-once' || kind === 'rehearse'
}

/** Whether the command may have begun and its end is not known; a container that stays may still run it. */
const isUnsureOfCommand = (state: RunState, isUnknown: boolean): boolean => {
  if (state.task.command.body.kind !== 'run-once' || state.found.exit !== null) return false
  if (state.phase === 'undoing') return isUnknown || state.hasUndoFailed
  return isUnknown && state.receipts.some((one) => one.step === 'start-command')
}

/** What serves after a failure: what did before, unless it was stopped and did not come back healthy. */
const servedAfterFailure = (state: RunState): Served => {
  const none: Served = { serving: 'none', release: null }
  if (state.phase === 'undoing') return servedAfterUndo(state)
  const begun = state.steps.slice(0, state.position + 1)
  const step = state.steps[state.position]
  // Where the traffic goes while HAProxy cannot be told, or was told half, nobody can say.
  if (step !== undefined && movesTraffic(step)) return { serving: 'unknown', release: null }
  if (begun.some(({ kind }) => kind === 'switch-traffic' || kind === 'take-over-ports')) return state.after
  if (begun.some(({ kind }) => kind === 'close-ports')) return none
  if (state.task.command.body.kind !== 'remove') return hasRetired(begun) ? none : state.before
  // A plan that starts nothing leaves alone what is to serve after it.
  const isLeftAlone = !state.steps.some((step) => step.kind === 'start-container')
  if (isLeftAlone && state.after.serving !== 'none') return state.after
  return begun.some((step) => step.kind === 'remove-container') ? none : state.before
}

const servedAfterUndo = (state: RunState): Served => {
  if (!state.hasUndoFailed) return state.before
  const failed = state.undo[state.position]
  if (failed !== undefined && movesTraffic(failed)) return { serving: 'unknown', release: null }
  const comebacks = state.undo.filter((step) => step.kind === 'start-container')
  // Nothing that served was ever stopped.
  if (comebacks.length === 0) return state.before
  // Of several containers some may serve; one that was started and not judged healthy may answer all the same.
  return comebacks.length > 1 || !hasFailed(state, 'undo start-container', 'undo remake-container')
    ? { serving: 'unknown', release: null }
    : { serving: 'none', release: null }
}

const hasFailed = ({ receipts }: RunState, ...steps: string[]): boolean =>
  receipts.some(({ step, outcome }) => outcome === 'failed' && steps.includes(step))

const resultOf = (state: RunState): RunResult => {
  const { body } = state.task.command
  switch (body.kind) {
    case 'resolve':
      return { kind: 'resolve', digest: demand(state.found.digest, 'digest'), ...resolvedBy(state) }
    case 'stage':
      return {
        kind: 'stage',
        image: withManifest(demand(state.found.image, 'image'), state),
        isRunning: state.before.serving === 'new',
        ...servedBy(state)
      }
    case 'release':
      return {
        kind: 'release',
        containers: containerNames(state),
        ...(state.found.traffic === null || state.isUntouched ? {} : { traffic: state.found.traffic }),
        ...(state.found.notes.length === 0 ? {} : { notes: state.found.notes.slice(0, 20) })
      }
    case 'settle':
      return {
        kind: 'settle',
        warnings: state.found.warnings.slice(0, 50).map((one) => one.slice(0, limits.maxReasonChars))
      }
    case 'revert':
    case 'remove':
    case 'rehearse':
      return { kind: body.kind }
    case 'plan':
      return { kind: 'plan', ...limitForecast(demand(state.found.forecast, 'forecast')) }
    case 'upgrade':
      return { kind: 'upgrade', ...demand(state.found.upgraded, 'versions') }
    case 'run-once':
      return { kind: 'run-once', exitCode: 0, log: demand(state.found.exit, 'exit').log }
    default:
      return body satisfies never
  }
}

type SourcesOf<K extends RunResult['kind']> = Pick<
  Extract<RunResult, { kind: K }>,
  Extract<keyof Extract<RunResult, { kind: K }>, 'source' | 'failedSources'>
>

const servedBy = ({ found: { served } }: RunState): SourcesOf<'stage'> =>
  served === null
    ? {}
    : { source: served.source, ...(served.failed.length > 0 && { failedSources: served.failed }) }

/** A digest that was given needs nobody to say it. */
const resolvedBy = (state: RunState): SourcesOf<'resolve'> => {
  const { source, ...failed } = servedBy(state)
  return { ...failed, ...(source != null && { source }) }
}

const withManifest = (image: StagedImage, { found: { manifest } }: RunState): StagedImage =>
  manifest === null || manifest === image.digest ? image : { ...image, manifest }

const limitForecast = (forecast: Forecast): Forecast => ({
  ...forecast,
  refusals: forecast.refusals.slice(0, 50)
})

const containerNames = (state: RunState): string[] =>
  state.steps
    .flatMap((step) => (step.kind === 'create-container' ? [step.name.slice(0, 64)] : []))
    .slice(0, 50)

const demand = <T>(value: T | null, what: string): T => {
  if (value === null) throw new RangeError(`the steps of the plan ended without ${what}`)
  return value
}
