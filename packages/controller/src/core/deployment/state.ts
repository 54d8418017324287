// What a deployment knows: plain data that is stored as JSON. A deployment has parts, one per service, in the order
// in which they roll; a target is one service on one host. What happens to it stands in events.ts.
import type {
  AgentId,
  Amount,
  DeploymentId,
  Digest,
  EnvironmentName,
  ImageContent,
  ImageSource,
  PlanResult,
  ServiceName,
  Serving,
  SourceFailure,
  TrafficMove
} from '@longshore/protocol'
import type { SpecChange } from '../../api/schemas.ts'
import type { Order } from './events.ts'
import type { CacheState, Mode, Outcome, Phase, TargetState } from './vocabulary.ts'

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
  /** A pause that nobody decides on ends by itself after this. */
  pauseLimitMs: number
}

/** The release that the environment runs when the deployment begins: the last one that succeeded. */
export type CurrentRelease = { release: number; repository: string; digest: Digest; specRevision: number }

export type Rollout = {
  /** Size of the first batch; null: like the others. */
  canary: Amount | null
  parallelism: Amount
  delayMs: number
  maxFailureRatio: number
  failureAction: 'rollback' | 'pause'
  /** How much worse a canary's new containers may be; null, or absent in deployments of an older version: not compared. */
  canaryMaxErrorRatio?: number | null
}

/** Runs once in the deployment, on one ready host, before the first switch. */
export type ReleaseCommand = {
  command: string[]
  timeoutMs: number
  /** unknown: nobody can say whether it ran to its end. */
  state: 'pending' | 'running' | 'succeeded' | 'failed' | 'unknown'
  host: string | null
  exitCode: number | null
  reason: string | null
  log: string[]
}

/** What a host said that it would do, and why it would not. */
export type TargetPlan = Omit<PlanResult, 'kind'> & { changes: SpecChange[] }

/** Why the controller would refuse the real request, in mode plan. */
export type Refusal = { code: string; detail: string }

/** An image of the controller's own store. */
export type Stored = {
  /** Of the store; or what the tag was resolved to, once that is known to be the same image. */
  digest: Digest
  contents: ImageContent[]
  /** What the tag meant when it was deployed last: that counts only when nobody can say what it means now. */
  isFormer?: boolean
}

/** How far the controller is with fetching the image, once its digest is known. */
export type Cache = {
  /** Of the hosts, `linux/amd64`; null: not known, so all. */
  platforms: string[] | null
  state: CacheState
  /** Hosts wait no longer than until then; null: not begun. */
  untilMs: number | null
}

/** What the deployment does with one service. */
export type Part = {
  service: ServiceName
  release: number
  /** The fence's, of this service. */
  generation: number
  current: CurrentRelease | null
  repository: string
  tag: string | null
  digest: Digest | null
  specRevision: number
  recreate: boolean
  /** An unmanaged container by this name may be taken over. */
  replace: string | null
  rollout: Rollout
  keepImages: number
  /** Tags of former releases, newest first: named when the one asked for does not exist. */
  knownTags: string[]
  releaseCommand: ReleaseCommand | null
  /** It takes the service away: these containers of it, or all; null: it brings a release. */
  removal: { containers: string[] | null } | null
  resolve: { asked: AgentId[]; failures: string[] }
  /** Where hosts may get the image, in order; absent in deployments of an older version: the registry. */
  sources?: ImageSource[]
  /** What the controller's own store had of it when it was asked for; absent, or null: nothing. */
  artifact?: Stored | null
  /** The controller fetches the image before hosts are told to; absent, or null: it does not. */
  cache?: Cache | null
  /** The controller asks the registry whether it has the same image; null: that is over. Absent: not begun. */
  comparing?: { untilMs: number } | null
  /** Every host runs the release already. */
  isUnchanged: boolean
}

export type InFlight = {
  index: number
  kind: Order['kind']
  sentAtMs: number
  deadlineAtMs: number
  isCancelled: boolean
  /** To be given again if need be; absent in deployments that an older version stored. */
  order?: Order
  /** The clock was set forward since it was signed: an agent that has not begun it may call it expired. */
  isOutdated?: boolean
}

export type Target = {
  service: ServiceName
  agent: AgentId
  host: string
  state: TargetState
  /** As its last report said; unknown until its vote, because an inventory may lag behind. */
  serving: Serving
  /** The release it ran before, as its stage report said: going back means that one; null: none. */
  former: number | null
  /** Before that a container served that Longshore did not make, and that may be taken over: it serves again then. */
  hadOther?: true
  /** Numbered through all parts, from 1. */
  batch: number | null
  reason: string | null
  code: string | null
  log: string[]
  /** Index of the last command given to it; 0: none yet. */
  index: number
  inFlight: InFlight | null
  /** Since when its session is gone. */
  absentSinceMs: number | null
  /** Its agent was revoked, replaced or removed, and never comes back: who did so. */
  goneBecause?: string
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
  /** It had failed when the deployment was resumed: that counts no more. */
  isForgiven: boolean
  plan: TargetPlan | null
  /** How traffic came to its new containers; absent where Docker publishes the ports. */
  traffic?: TrafficMove
  /** Where its image came from; null: it was there. Absent: not staged yet, or its agent does not say. */
  source?: ImageSource | null
  failedSources?: SourceFailure[]
}
export type TargetKey = Pick<Target, 'service' | 'agent'>

export type DeploymentState = {
  id: DeploymentId
  environment: EnvironmentName
  mode: Mode
  phase: Phase
  outcome: Outcome | null
  reason: string | null
  /** Why it is paused or reverts: what failed, or null for a cancellation. */
  cause: string | null
  parts: Part[]
  timing: Timing
  cancelledBy: string | null
  requestedAtMs: number
  endedAtMs: number | null
  /** Batch that switches now, from 1, through all parts; 0: none yet. `nextBatchAtMs`: the delay before the next one ends. */
  batch: number
  nextBatchAtMs: number | null
  /** When a pause that nobody decides on ends by itself. */
  pausedUntilMs: number | null
  refusals: Refusal[]
  targets: Target[]
  warnings: string[]
}

export const isSameTarget = (a: TargetKey, b: TargetKey): boolean =>
  a.agent === b.agent && a.service === b.service

export const findTarget = (state: DeploymentState, key: TargetKey): Target | undefined =>
  state.targets.find((target) => isSameTarget(target, key))

/** @throws TypeError for a service that the deployment does not have: the machine makes no such target */
export const partOf = (state: DeploymentState, { service }: Pick<TargetKey, 'service'>): Part => {
  const part = state.parts.find((one) => one.service === service)
  if (part === undefined) throw new TypeError(`the deployment has no part ${service}`)
  return part
}

/** The release to go back to; null: none, or the deployment brings the current release once more. */
export const previousRelease = (part: Part): number | null =>
  part.current === null || isRepair(part) ? null : part.current.release

/** The deployment brings hosts to the release that the environment runs already: nothing is ever taken back. */
export const isRepair = (part: Part): boolean => part.current?.release === part.release

/** The targets proper: without the skipped ones. */
export const participants = (state: DeploymentState, part?: Part): Target[] =>
  state.targets.filter(
    (target) => target.state !== 'skipped' && (part === undefined || target.service === part.service)
  )

export const isUnchanged = (state: DeploymentState): boolean => state.parts.every((part) => part.isUnchanged)

/** Services are taken away, not brought. */
export const isRemoval = (state: DeploymentState): boolean =>
  state.parts.every(({ removal }) => removal !== null)

const preempted = 'preempted by '
/** In place of a person's name: the deployment that it gives way to cancels it. */
export const preemptedBy = (deployment: DeploymentId): string => `${preempted}${deployment}`
export const isPreempted = ({ cancelledBy }: Pick<DeploymentState, 'cancelledBy'>): boolean =>
  cancelledBy?.startsWith(preempted) === true

/** Its switch failed, whatever became of it since. */
export const hasFailed = (target: Target): boolean => ['failed', 'unknown', 'reverted'].includes(target.state)
