// What a run is between two steps, what happens to it, and what it asks for. The state is plain JSON: it goes into the
// journal as it is, and an older one is read from there. The transitions are run.ts.
import type { Digest, RunError, RunOutcome, StagedImage, StepReceipt, TrafficMove } from '@longshore/protocol'
import { command as commandSchema } from '@longshore/protocol'
import type { Observation, ReleaseRecord } from './observation.ts'
import type { Served, Task } from './plan.ts'
import type { Forecast } from './plan-ahead.ts'
import type { CommandExit, Finding, ServedBy, Step, Versions } from './steps.ts'

export type RunState = {
  task: Task
  phase: 'observing' | 'acting' | 'undoing' | 'ended'
  /** The host looked as if it ran the release already, but was not healthy: switch all the same. */
  isForced: boolean
  isUntouched: boolean
  steps: Step[]
  undo: Step[]
  /** Index of the step under way, in `steps` while acting and in `undo` while undoing. */
  position: number
  before: Served
  after: Served
  /** Why the run is to end early, once asked for. */
  stop: 'cancelled' | 'time-limit' | null
  /** The first thing that went wrong. */
  failure: RunError | null
  hasUndoFailed: boolean
  found: {
    digest: Digest | null
    image: StagedImage | null
    /** Of `resolve` and `stage`; null: an older agent began the run. */
    served: ServedBy | null
    /** The digest under which the image was fetched. */
    manifest: Digest | null
    warnings: string[]
    /** Of `run-once`, from when it stands in the journal. */
    exit: CommandExit | null
    /** Of `plan`; the looks of its steps add refusals. */
    forecast: Forecast | null
    /** How the traffic moved, as far as it has. */
    traffic: TrafficMove | null
    /** For the report of what went well, in words for people. */
    notes: string[]
    /** Of `upgrade`. */
    upgraded: Versions | null
  }
  receipts: StepReceipt[]
  stepStartedMs: number
  /** Run time so far, without the time in which the agent was down. */
  elapsedMs: number
  outcome: RunOutcome | null
}

export type StepResult =
  | { kind: 'done'; finding: Finding }
  | { kind: 'failed'; error: Omit<RunError, 'step'> }
  /** The Docker call hung past its limit and no inspect answered. */
  | { kind: 'unknown'; error: Omit<RunError, 'step'> }

/** `atMs`: milliseconds since the run began, as counted by `elapsedMs`. */
export type RunEvent =
  | { kind: 'began'; atMs: number }
  | { kind: 'observed'; atMs: number; observation: Observation }
  | { kind: 'observing-failed'; atMs: number; error: Omit<RunError, 'step'> }
  | { kind: 'step-ended'; atMs: number; result: StepResult }
  | { kind: 'cancelled'; atMs: number }
  | { kind: 'time-limit-passed'; atMs: number }
  /** The agent was started again with this state in its journal. */
  | { kind: 'resumed'; atMs: number }

export type RunEffect =
  | { kind: 'observe' }
  | { kind: 'remember-release'; record: ReleaseRecord }
  | { kind: 'execute'; step: Step; position: number; total: number }
  /** Stop waiting in the step under way; it ends soon with whatever result. */
  | { kind: 'interrupt' }
  | { kind: 'end'; outcome: RunOutcome }

export type Turn = { state: RunState; effects: RunEffect[] }

export const beginRun = (task: Task): RunState => ({
  task,
  phase: 'observing',
  isForced: false,
  isUntouched: false,
  steps: [],
  undo: [],
  position: 0,
  before: { serving: 'unknown', release: null },
  after: { serving: 'unknown', release: null },
  stop: null,
  failure: null,
  hasUndoFailed: false,
  found: {
    digest: null,
    image: null,
    served: null,
    manifest: null,
    warnings: [],
    exit: null,
    forecast: null,
    traffic: null,
    notes: [],
    upgraded: null
  },
  receipts: [],
  stepStartedMs: 0,
  elapsedMs: 0,
  outcome: null
})

/** A state from the journal of an agent that knew fewer fields. */
export const reviveRun = (stored: RunState): RunState => {
  const blank = beginRun({ ...stored.task, command: commandSchema.parse(stored.task.command) })
  return { ...blank, ...stored, task: blank.task, found: { ...blank.found, ...stored.found } }
}
