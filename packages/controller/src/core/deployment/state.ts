// What a deployment knows (state), what happens to it (events), what it wants done (effects): plain data that is
// stored as JSON. Commands are named by (agent, index); their ids, signatures and delivery are left to the engine.
import type {
  AgentId,
  Amount,
  CommandKind,
  DeploymentId,
  Digest,
  EnvironmentName,
  RefusalCode,
  RunOutcome,
  ServiceName,
  Serving
} from '@longshore/protocol'
import type { Outcome, Phase, TargetState } from './vocabulary.ts'

/** Waiting times, milliseconds; fixed when the deployment is requested. docs/deployments.md says why each. */
export type Timing = {
  /** A host whose session has been gone for this long is lost. */
  lostAfterMs: number
  /** A command must be begun within this; later the agent refuses it as expired. */
  startWithinMs: number
  /** Longest resolve, and longest other run. */
  resolveLimitMs: number
  runLimitMs: number
  /** After start and run: time for the report to arrive. */
  reportGraceMs: number
  /** How long a host that is away may still be told to go back. */
  revertWithinMs: number
}

/** The release that the environment runs when the deployment begins: the last one that succeeded. */
export type CurrentRelease = { release: number; repository: string; digest: Digest; specRevision: number }

export type InFlight = {
  index: number
  kind: CommandKind
  sentAtMs: number
  deadlineAtMs: number
  isCancelled: boolean
}

export type Target = {
  agent: AgentId
  host: string
  state: TargetState
  /** As its last report said; unknown until its vote, because an inventory may lag behind. */
  serving: Serving
  /** The release it ran before, as its stage report said: going back means that one; null: none. */
  former: number | null
  batch: number | null
  reason: string | null
  code: string | null
  log: string[]
  /** Index of the last command given to it; 0: none yet. */
  index: number
  inFlight: InFlight | null
  /** Since when its session is gone. */
  absentSinceMs: number | null
  /** Since when its batch waits for it to be connected. */
  turnAtMs: number | null
  image: { platform: string; diffIds: string[] } | null
  isRunning: boolean
  /** It was told to switch, or ran the new release before. */
  mayRunNew: boolean
  /** Its revert was given, and if nobody waits for it any more, by which index its late report is known. */
  wasToldToGoBack: boolean
  owedRevert: number | null
  settling: number | null
}

export type DeploymentState = {
  id: DeploymentId
  service: ServiceName
  environment: EnvironmentName
  phase: Phase
  outcome: Outcome | null
  reason: string | null
  /** Why it reverts: what failed, or null for a cancellation. */
  cause: string | null
  release: number
  current: CurrentRelease | null
  repository: string
  tag: string | null
  digest: Digest | null
  specRevision: number
  recreate: boolean
  /** An unmanaged container by this name may be taken over. */
  replace: string | null
  rollout: { parallelism: Amount; delayMs: number; maxFailureRatio: number }
  keepImages: number
  timing: Timing
  isUnchanged: boolean
  cancelledBy: string | null
  requestedAtMs: number
  endedAtMs: number | null
  /** Batch that switches now, from 1; 0: none yet. `nextBatchAtMs`: the pause before the next one ends. */
  batch: number
  nextBatchAtMs: number | null
  resolve: { asked: AgentId[]; failures: string[] }
  /** Tags of former releases, newest first: named when the one asked for does not exist. */
  knownTags: string[]
  targets: Target[]
  warnings: string[]
}

/** Always the first event. `release` is a new number, or the one to roll back to (then `digest` is known). */
export type Requested = {
  kind: 'requested'
  atMs: number
  id: DeploymentId
  service: ServiceName
  environment: EnvironmentName
  release: number
  current: CurrentRelease | null
  repository: string
  tag: string | null
  digest: Digest | null
  specRevision: number
  recreate: boolean
  replace: string | null
  offline: 'fail' | 'skip'
  rollout: DeploymentState['rollout']
  keepImages: number
  timing: Timing
  knownTags: string[]
  warnings: string[]
  targets: { agent: AgentId; host: string; isConnected: boolean }[]
}

export type DeploymentEvent =
  | { kind: 'cancelRequested'; atMs: number; by: string }
  | { kind: 'hostConnected'; atMs: number; agent: AgentId }
  | { kind: 'hostDisconnected'; atMs: number; agent: AgentId }
  /** `busy` never comes here: the engine sends the command again. */
  | {
      kind: 'commandRefused'
      atMs: number
      agent: AgentId
      index: number
      code: RefusalCode
      detail: string
    }
  | { kind: 'commandReported'; atMs: number; agent: AgentId; index: number; outcome: RunOutcome }
  /** The controller was away and nobody is connected yet: every wait begins anew. */
  | { kind: 'controllerRestarted'; atMs: number }
  | { kind: 'timePassed'; atMs: number }
export type StoredEvent = Requested | DeploymentEvent

/** What a command is to do; the engine adds image and spec of the release. */
export type Order =
  | { kind: 'resolve' }
  | { kind: 'stage' }
  | { kind: 'release'; recreate: boolean }
  | { kind: 'revert'; from: number; to: number }
  | { kind: 'remove'; release: number }
  | { kind: 'settle'; release: number; keepImages: number }

export type Effect =
  | {
      kind: 'sendCommand'
      agent: AgentId
      index: number
      order: Order
      notAfterMs: number
      timeLimitMs: number
    }
  /** Asks the run to undo itself; its report is still awaited. */
  | { kind: 'cancelCommand'; agent: AgentId; index: number }
  /** Nobody waits for it any more; it is not sent again. */
  | { kind: 'abandonCommand'; agent: AgentId; index: number }
  /** The digest is known: the release exists from now on. */
  | { kind: 'pinRelease'; release: number; digest: Digest }

export type Step = { state: DeploymentState; effects: Effect[] }

/** The release to go back to; null: none, or the deployment brings the current release once more. */
export const previousRelease = (state: DeploymentState): number | null =>
  state.current === null || state.current.release === state.release ? null : state.current.release

/** The deployment brings hosts to the release that the environment runs already: nothing is ever taken back. */
export const isRepair = (state: DeploymentState): boolean => state.current?.release === state.release

/** The targets proper: without the skipped ones. */
export const participants = (state: DeploymentState): Target[] =>
  state.targets.filter((target) => target.state !== 'skipped')
