// `report` (up): the final outcome of a run. Durable on the agent, sent again until `ack`, never changed after
// it was first written. `progress` (up): where a run is now; best effort, the latest wins.
import * as z from 'zod'
import { commandId, digest, releaseNumber } from '../ids.ts'
import { imageSource } from '../image-source.ts'
import {
  maxCommandLogLines,
  maxHealthAnswerChars,
  maxHealthAnswers,
  maxImageSources,
  maxProgressLines,
  maxReasonChars,
  maxReportLineChars,
  maxSourceDetailChars,
  maxStepsPerRun
} from '../limits.ts'

/** Why a run did not do what was asked. Closed set; docs/errors.md has a row each. */
export const runErrorCodes = [
  'image-not-found',
  'registry-denied',
  'registry-unavailable',
  'image-invalid',
  'no-progress',
  'disk-full',
  'port-taken',
  'engine-unavailable',
  'engine-error',
  'spec-rejected',
  'policy',
  'unsupported',
  'container-exited',
  'container-restarted',
  'unhealthy',
  'health-timeout',
  'time-limit',
  'cancelled',
  'nothing-to-revert-to',
  'name-taken',
  'interrupted',
  'command-failed',
  'proxy-missing',
  'proxy-error',
  'no-address',
  'worse-than-before',
  'upgrade-failed'
] as const
export const runErrorCode = z.enum(runErrorCodes)
export type RunErrorCode = z.infer<typeof runErrorCode>

/** A source that did not give the image, and why. */
export const sourceFailure = z.object({
  source: imageSource,
  code: runErrorCode,
  /** For people; without secrets. */
  detail: z.string().max(maxSourceDetailChars)
})
export type SourceFailure = z.infer<typeof sourceFailure>
/** In the order in which they were tried. */
const failedSources = z.array(sourceFailure).max(maxImageSources).optional()

export const runError = z.object({
  code: runErrorCode,
  /** For people; without secrets. */
  detail: z.string().max(maxReasonChars),
  /** The step that failed, as in the plan. */
  step: z.string().max(64).nullable(),
  /** Last lines of the container's log, oldest first. */
  log: z.array(z.string().max(maxReportLineChars)).max(maxCommandLogLines),
  /** Of `command-failed`: how the command of `run-once` ended. */
  exitCode: z.int().optional(),
  /** Where the image was looked for in vain. */
  failedSources
})
export type RunError = z.infer<typeof runError>

/** What the host has of the image, from inspect. Ids of images are never compared across hosts. */
export const stagedImage = z.object({
  digest,
  /** Under which digest the source had it, where that is another one: the same image, stored anew. */
  manifest: digest.optional(),
  platform: z.string().max(64),
  diffIds: z.array(digest).max(200),
  sizeBytes: z.int().min(0)
})
export type StagedImage = z.infer<typeof stagedImage>

/** Steps that runs are made of, each of the agent's core/steps.ts; agents of other versions may have others. */
const stepNames = [
  'check-disk',
  'check-ports',
  'create-network',
  'check-proxy',
  'look-for-proxy',
  'create-own-network',
  'resolve-image',
  'fetch-image',
  'look-for-image',
  'verify-image',
  'tag-image',
  'create-container',
  'remake-container',
  'retire-container',
  'rename-container',
  'start-container',
  'await-healthy',
  'monitor',
  'share-traffic',
  'switch-traffic',
  'take-over-ports',
  'drain-containers',
  'close-ports',
  'start-command',
  'await-command',
  'remove-container',
  'prune-images',
  'take-agent',
  'try-agent',
  'hand-over'
] as const
export type StepName = (typeof stepNames)[number]
const knownNames: ReadonlySet<string> = new Set(stepNames)
export const isStepName = (text: string): text is StepName => knownNames.has(text)

/** Timing of one step, milliseconds of the host's monotonic clock since the run began. */
export const stepReceipt = z.object({
  step: z.string().max(64),
  startedMs: z.int().min(0),
  endedMs: z.int().min(0),
  outcome: z.enum(['done', 'failed', 'skipped'])
})
export type StepReceipt = z.infer<typeof stepReceipt>

/** Which release answers on the host after the run. `unknown`: Docker could not be asked. */
export const serving = z.enum(['new', 'old', 'none', 'unknown'])
export type Serving = z.infer<typeof serving>

/** What a release would meet on the host, found without changing anything. */
export const planResult = z.object({
  kind: z.literal('plan'),
  /** Exactly this release runs here already: nothing would be done. */
  isRunning: z.boolean(),
  /** What answers now; `release` is null for a container that Longshore does not manage. null: nothing. */
  serves: z.object({ release: releaseNumber.nullable(), image: z.string().max(1024).nullable() }).nullable(),
  /** What `stage` and `release` would do, in order, in words for people. */
  steps: z.array(z.string().max(300)).max(maxStepsPerRun),
  /** Why the host would not be ready; empty: nothing stands in the way as far as can be seen. */
  refusals: z.array(z.object({ code: runErrorCode, detail: z.string().max(maxReasonChars) })).max(50),
  /** What people should know beforehand, such as a gap in service. */
  notices: z.array(z.string().max(maxReasonChars)).max(20).optional()
})
export type PlanResult = z.infer<typeof planResult>

/** Connections of containers that get no new traffic. */
export const connections = z.object({
  requests: z.int().min(0),
  /** WebSockets and others that were upgraded. */
  upgraded: z.int().min(0)
})
export type Connections = z.infer<typeof connections>

/** How traffic moved from the former containers to the new ones, milliseconds. */
export const trafficMove = z.object({
  /** Until HAProxy had confirmed the switch. */
  switchMs: z.number().min(0),
  /** For how long nothing served on the port: it was taken over from a container that held it itself. null: no gap. */
  gapMs: z.number().min(0).nullable(),
  /** From the switch until nothing was attached to the former containers; null: there were none. */
  drainMs: z.number().min(0).nullable(),
  /** Closed at the end of `drain_timeout`. */
  closed: connections
})
export type TrafficMove = z.infer<typeof trafficMove>

/** What a run found out, by kind of command. */
export const runResult = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('resolve'),
    digest,
    /** Who said so; an older agent asks the registry only. */
    source: imageSource.optional(),
    failedSources
  }),
  /** `isRunning`: exactly this release runs here already, healthy: a release would change nothing. */
  z.object({
    kind: z.literal('stage'),
    image: stagedImage,
    isRunning: z.boolean(),
    /** Where the image came from; null: it was on the host. An older agent does not say. */
    source: imageSource.nullable().optional(),
    failedSources
  }),
  z.object({
    kind: z.literal('release'),
    containers: z.array(z.string().max(64)).max(50),
    /** Only where HAProxy brings the traffic. */
    traffic: trafficMove.optional(),
    /** What people should know although it went well: what could not be compared, for example. */
    notes: z.array(z.string().max(maxReasonChars)).max(20).optional()
  }),
  z.object({ kind: z.literal('revert') }),
  z.object({ kind: z.literal('settle'), warnings: z.array(z.string().max(maxReasonChars)).max(50) }),
  z.object({ kind: z.literal('remove') }),
  planResult,
  z.object({
    kind: z.literal('run-once'),
    exitCode: z.literal(0),
    /** Last lines of its output, oldest first. */
    log: z.array(z.string().max(maxReportLineChars)).max(maxCommandLogLines)
  }),
  z.object({ kind: z.literal('rehearse') }),
  /** Versions of the agent: that which serves now, and the one before. */
  z.object({ kind: z.literal('upgrade'), version: z.string().max(64), former: z.string().max(64) })
])
export type RunResult = z.infer<typeof runResult>

/** `unknown`: a step's Docker call still hung past its limit and no inspect answered. */
export const runOutcome = z.discriminatedUnion('status', [
  z.object({ status: z.literal('succeeded'), result: runResult, serving, release: releaseNumber.nullable() }),
  z.object({ status: z.literal('failed'), error: runError, serving, release: releaseNumber.nullable() }),
  z.object({ status: z.literal('unknown'), error: runError, serving, release: releaseNumber.nullable() })
])
export type RunOutcome = z.infer<typeof runOutcome>

/** `succeeded`, else status and code: `failed:image-not-found`. */
export const outcomeText = (outcome: RunOutcome): string =>
  outcome.status === 'succeeded' ? 'succeeded' : `${outcome.status}:${outcome.error.code}`

export const runReport = z.object({
  command: commandId,
  /** Grows by one per report of this agent; what `ack` names. */
  number: z.int().min(1),
  outcome: runOutcome,
  steps: z.array(stepReceipt).max(maxStepsPerRun)
})
export type RunReport = z.infer<typeof runReport>

/** The same content as `report`, signed by the agent (typ `longshore-receipt+jws`): evidence for the audit. */
export const reportMessage = z.object({ type: z.literal('report'), jws: z.string().max(256 * 1024) })
export type ReportMessage = z.infer<typeof reportMessage>

/** The latest answer of the health check of one container. What a command wrote is not in it: it may be secret. */
export const healthAnswer = z.object({
  /** Its name. */
  container: z.string().max(255),
  /** From 1, since it began to be watched. */
  attempt: z.int().min(1),
  isOk: z.boolean(),
  /** For people: a status, why there was no connection, how a command ended. */
  answer: z.string().max(maxHealthAnswerChars),
  tookMs: z.int().min(0)
})
export type HealthAnswer = z.infer<typeof healthAnswer>

export const progressMessage = z.object({
  type: z.literal('progress'),
  command: commandId,
  step: z.string().max(64),
  /** Position in the plan, from 1, and its length. */
  position: z.int().min(1),
  total: z.int().min(1),
  detail: z.string().max(300).optional(),
  bytes: z.object({ done: z.int().min(0), total: z.int().min(0) }).optional(),
  /** While former containers are drained: what is left. */
  connections: connections.optional(),
  /** While containers are to become healthy, or to stay so: what was answered last. */
  health: z.array(healthAnswer).max(maxHealthAnswers).optional(),
  /** Output of the command of `run-once` since the progress before; older lines are left out first. */
  lines: z.array(z.string().max(maxReportLineChars)).max(maxProgressLines).optional()
})
export type ProgressMessage = z.infer<typeof progressMessage>
