// What happens to a deployment (events) and what it wants done (effects). Commands are named by (service, agent,
// index); their ids, signatures and delivery are left to the engine.
import type {
  AgentId,
  DeploymentId,
  Digest,
  EnvironmentName,
  RefusalCode,
  RunOutcome,
  ServiceName
} from '@longshore/protocol'
import type { SpecChange } from '../../api/schemas.ts'
import type {
  Cache,
  DeploymentState,
  Part,
  Refusal,
  ReleaseCommand,
  Stored,
  TargetKey,
  Timing
} from './state.ts'
import type { Mode } from './vocabulary.ts'

/** `release` is a new number, or the one to roll back to (then `digest` is known). */
export type RequestedPart = Omit<
  Part,
  'resolve' | 'isUnchanged' | 'releaseCommand' | 'cache' | 'comparing'
> & {
  cache?: Pick<Cache, 'platforms'> | null
  releaseCommand: Pick<ReleaseCommand, 'command' | 'timeoutMs'> | null
}

/** Always the first event. */
export type Requested = {
  kind: 'requested'
  atMs: number
  id: DeploymentId
  environment: EnvironmentName
  mode: Mode
  offline: 'fail' | 'skip'
  timing: Timing
  warnings: string[]
  /** Only in mode plan: any other request is refused instead. */
  refusals: Refusal[]
  parts: RequestedPart[]
  targets: { service: ServiceName; agent: AgentId; host: string; isConnected: boolean }[]
}

/** A command of this deployment. */
export type CommandName = TargetKey & { index: number }

export type DeploymentEvent =
  | { kind: 'cancelRequested'; atMs: number; by: string }
  /** By a person, while it is paused. */
  | { kind: 'resumed'; atMs: number; by: string }
  | { kind: 'hostConnected'; atMs: number; agent: AgentId }
  | { kind: 'hostDisconnected'; atMs: number; agent: AgentId }
  /** Its agent was revoked, replaced or removed: nobody is to wait for it. `why`: in words. */
  | { kind: 'hostGone'; atMs: number; agent: AgentId; why: string }
  /** `busy` never comes here: the engine sends the command again. */
  | ({ kind: 'commandRefused'; atMs: number; code: RefusalCode; detail: string } & CommandName)
  /** `changes`: of a plan, from the spec of what serves there. */
  | ({
      kind: 'commandReported'
      atMs: number
      outcome: RunOutcome
      changes?: SpecChange[]
    } & CommandName)
  /** The controller has the image of the service in its own store. */
  | { kind: 'imageFetched'; atMs: number; service: ServiceName; artifact: Stored }
  | { kind: 'imageNotFetched'; atMs: number; service: ServiceName; detail: string }
  /** Digests of the configurations of what the registry has; none: nobody can say. */
  | { kind: 'imageCompared'; atMs: number; service: ServiceName; configs: Digest[] }
  /** The controller was away and nobody is connected yet: every wait begins anew. */
  | { kind: 'controllerRestarted'; atMs: number }
  /** The time of day was set, forward or (negative) back: every wait goes along. */
  | { kind: 'clockJumped'; atMs: number; byMs: number }
  | { kind: 'timePassed'; atMs: number }
export type StoredEvent = Requested | DeploymentEvent

/** What a command is to do; the engine adds image and spec of the release. */
export type Order =
  | { kind: 'resolve' }
  | { kind: 'stage' }
  /** `canaryMaxErrorRatio`: only for a canary that is compared. */
  | { kind: 'release'; recreate: boolean; canaryMaxErrorRatio?: number }
  | { kind: 'revert'; from: number; to: number }
  | { kind: 'remove'; release: number | null; containers: string[] | null }
  | { kind: 'plan'; recreate: boolean }
  | { kind: 'rehearse' }
  | { kind: 'run-once'; command: string[]; timeoutMs: number }
  | { kind: 'settle'; release: number; keepImages: number }
  | { kind: 'upgrade' }

export type Effect =
  | ({ kind: 'sendCommand'; order: Order; notAfterMs: number; timeLimitMs: number } & CommandName)
  /** Asks the run to undo itself; its report is still awaited. */
  | ({ kind: 'cancelCommand' } & CommandName)
  /** Nobody waits for it any more; it is not sent again. */
  | ({ kind: 'abandonCommand' } & CommandName)
  /** The digest is known: the release exists from now on. */
  | { kind: 'pinRelease'; service: ServiceName; release: number; digest: Digest }

export type Step = { state: DeploymentState; effects: Effect[] }
