// The bodies of the HTTP API, defined once: the server checks and documents with them (OpenAPI), the CLI reads
// with them. Times are `...AtMs`, milliseconds since the epoch by the controller's clock.
import {
  agentId,
  deploymentId,
  digest,
  environmentName,
  facts,
  hostName,
  inventory,
  labels,
  policySummary,
  releaseNumber,
  serviceName,
  serviceSpec,
  tokenId
} from '@longshore/protocol'
import * as z from 'zod'
import { outcomes, phases, targetStates } from '../core/deployment/vocabulary.ts'

const atMs = z.int()
const reason = z.string()

/** RFC 9457. `code` is stable; docs/errors.md has a row each. `known` lists what exists when a name does not. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  known: z.array(z.string()).optional(),
  /** Code `clock-skew`: the controller's time, a JWS of kind `time` bound to the refused assertion. */
  time: z.string().optional(),
  /** Code `locked`: the deployment that holds the lock. */
  lock: z
    .object({ deployment: deploymentId, holder: z.string(), sinceMs: atMs, release: releaseNumber })
    .optional()
})
export type Problem = z.infer<typeof problem>

export const verbs = [
  'read',
  'deploy',
  'rollback',
  'cancel',
  'apply',
  'agents',
  'environments',
  'tokens'
] as const
export const verb = z.enum(verbs)
export type Verb = z.infer<typeof verb>

/** `VERB:ENVIRONMENT/SERVICE`; each part may be `*`. */
export const permission = z
  .string()
  .regex(
    new RegExp(`^(?:\\*|${verbs.join('|')}):(?:\\*|[a-z0-9_-]{1,63})/(?:\\*|[a-z0-9_-]{1,63})$`),
    'expected VERB:ENVIRONMENT/SERVICE, for example deploy:staging/api or read:*/*'
  )
export type Permission = z.infer<typeof permission>

export const environmentView = z.object({ name: environmentName, createdAtMs: atMs, agents: z.int() })
export type EnvironmentView = z.infer<typeof environmentView>

export const agentState = z.enum(['connected', 'silent', 'held', 'revoked'])
export type AgentState = z.infer<typeof agentState>
export const agentView = z.object({
  id: agentId,
  name: hostName,
  environment: environmentName,
  state: agentState,
  /** Why it is held, revoked or silent; what to do. */
  reason: reason.optional(),
  labels,
  agentVersion: z.string().nullable(),
  lastSeenAtMs: atMs.nullable(),
  /** The same moment as text (RFC 3339), for scripts. */
  lastSeenAt: z.string().nullable(),
  connectedSinceMs: atMs.nullable(),
  enrolledAtMs: atMs,
  clockSkewMs: z.int().nullable(),
  facts: facts.nullable(),
  policy: policySummary.nullable(),
  inventory: inventory.nullable(),
  inventoryAtMs: atMs.nullable()
})
export type AgentView = z.infer<typeof agentView>

export const createJoinToken = z.object({
  environment: environmentName,
  labels: labels.default({}),
  ttlMs: z
    .int()
    .min(1000)
    .max(366 * 86_400_000)
    .default(3_600_000),
  /** null: as often as wanted until it expires. */
  uses: z.int().min(1).nullable().default(null),
  replace: z.boolean().default(false)
})
export const joinTokenView = z.object({
  id: tokenId,
  environment: environmentName,
  labels,
  replace: z.boolean(),
  usesMax: z.int().nullable(),
  usesCount: z.int(),
  createdAtMs: atMs,
  expiresAtMs: atMs,
  revokedAtMs: atMs.nullable()
})
export type JoinTokenView = z.infer<typeof joinTokenView>

export const createApiToken = z.object({
  name: z.string().min(1).max(100),
  allow: z.array(permission).min(1).max(100),
  /** null: does not expire. */
  ttlMs: z
    .int()
    .min(1000)
    .max(100 * 366 * 86_400_000)
    .nullable()
    .default(null)
})
export const apiTokenView = z.object({
  id: tokenId,
  name: z.string(),
  allow: z.array(permission),
  createdAtMs: atMs,
  expiresAtMs: atMs.nullable(),
  lastUsedAtMs: atMs.nullable(),
  revokedAtMs: atMs.nullable()
})
export type ApiTokenView = z.infer<typeof apiTokenView>
/** The only time the secret is seen. */
export const createdToken = z.object({ id: tokenId, token: z.string() })

export const applyRequest = z.object({ spec: serviceSpec, dryRun: z.boolean().default(false) })
export const specChange = z.object({
  /** Path in the spec, `environment.NODE_ENV`. */
  path: z.string(),
  /** Left out of the JSON where the spec had nothing there. */
  before: z.unknown().optional(),
  after: z.unknown().optional()
})
export type SpecChange = z.infer<typeof specChange>
export const applyAnswer = z.object({
  service: serviceName,
  environment: environmentName,
  revision: z.int().min(0),
  isChanged: z.boolean(),
  changes: z.array(specChange)
})
export type ApplyAnswer = z.infer<typeof applyAnswer>
export const specView = z.object({
  service: serviceName,
  environment: environmentName,
  revision: z.int().min(1),
  appliedAtMs: atMs,
  appliedBy: z.string(),
  spec: serviceSpec
})
export type SpecView = z.infer<typeof specView>

/** What to bring to the hosts: a tag of the service's image, a digest of it, or a former release. */
export const deployWhat = z.discriminatedUnion('by', [
  z.object({ by: z.literal('tag'), tag: z.string().regex(/^[\w][\w.-]{0,127}$/) }),
  z.object({ by: z.literal('digest'), digest }),
  /** release null: the last good one before the current. */
  z.object({ by: z.literal('rollback'), release: releaseNumber.nullable() })
])
export type DeployWhat = z.infer<typeof deployWhat>
export const deployRequest = z.object({
  service: serviceName,
  environment: environmentName,
  what: deployWhat,
  recreate: z.boolean().default(false),
  offline: z.enum(['fail', 'skip']).default('fail'),
  /** Name of an unmanaged container that may be taken over. */
  replace: z.string().max(255).nullable().default(null)
})
export type DeployRequest = z.infer<typeof deployRequest>

export { outcomes, phases, targetStates }
export const phase = z.enum(phases)
export type Phase = z.infer<typeof phase>
/** How a deployment ended; what it did is on the hosts. `unknown` is said by the CLI only (exit 7). */
export const outcome = z.enum(outcomes)
export type Outcome = z.infer<typeof outcome>
export const targetState = z.enum(targetStates)
export type TargetState = z.infer<typeof targetState>

export const progressView = z.object({
  step: z.string(),
  position: z.int(),
  total: z.int(),
  detail: z.string().optional(),
  bytes: z.object({ done: z.int(), total: z.int() }).optional()
})
export type ProgressView = z.infer<typeof progressView>

export const targetView = z.object({
  host: hostName,
  agent: agentId,
  state: targetState,
  /** Which release answers there; null: unknown or none, see `serving`. */
  serving: z.enum(['new', 'old', 'none', 'unknown']),
  batch: z.int().min(1).nullable(),
  reason: reason.optional(),
  code: z.string().optional(),
  /** Last lines of the container's log, when it failed. */
  log: z.array(z.string()).optional(),
  progress: progressView.optional()
})
export type TargetView = z.infer<typeof targetView>

export const deploymentView = z.object({
  id: deploymentId,
  service: serviceName,
  environment: environmentName,
  phase,
  outcome: outcome.nullable(),
  /** One sentence: why it ended like this. */
  reason: reason.nullable(),
  what: deployWhat,
  release: releaseNumber,
  previousRelease: releaseNumber.nullable(),
  repository: z.string(),
  tag: z.string().nullable(),
  /** null until resolved. */
  digest: digest.nullable(),
  specRevision: z.int(),
  unchanged: z.boolean(),
  isCancelRequested: z.boolean(),
  requestedBy: z.string(),
  requestedAtMs: atMs,
  endedAtMs: atMs.nullable(),
  targets: z.array(targetView),
  warnings: z.array(z.string())
})
export type DeploymentView = z.infer<typeof deploymentView>

export const releaseView = z.object({
  service: serviceName,
  environment: environmentName,
  release: releaseNumber,
  repository: z.string(),
  tag: z.string().nullable(),
  digest: digest.nullable(),
  specRevision: z.int(),
  deployment: deploymentId,
  outcome: outcome.nullable(),
  isCurrent: z.boolean(),
  createdAtMs: atMs,
  createdBy: z.string()
})
export type ReleaseView = z.infer<typeof releaseView>

export const hostStatus = z.object({
  host: hostName,
  state: z.enum([
    'running',
    'starting',
    'unhealthy',
    'restarting',
    'stopped',
    'missing',
    'silent',
    'unknown'
  ]),
  release: releaseNumber.nullable(),
  /** The host differs from the current release: how. */
  drift: z.string().optional()
})
export type HostStatus = z.infer<typeof hostStatus>
export const statusView = z.object({
  environment: environmentName,
  service: serviceName,
  /** Current release: the last succeeded one. */
  release: releaseNumber.nullable(),
  tag: z.string().nullable(),
  digest: digest.nullable(),
  /** The deployment in progress, which holds the lock. */
  deployment: deploymentId.nullable(),
  hosts: z.array(hostStatus)
})
export type StatusView = z.infer<typeof statusView>

/** One line of `--output ndjson` and one server-sent event. `at` is RFC 3339. */
const stamped = { at: z.string() }
export const deploymentEvent = z.discriminatedUnion('type', [
  z.object({ ...stamped, type: z.literal('deployment'), deployment: deploymentView }),
  z.object({ ...stamped, type: z.literal('phase'), id: deploymentId, phase, batch: z.int().nullable() }),
  z.object({ ...stamped, type: z.literal('target'), id: deploymentId, target: targetView }),
  z.object({
    ...stamped,
    type: z.literal('progress'),
    id: deploymentId,
    host: hostName,
    progress: progressView
  }),
  z.object({ ...stamped, type: z.literal('warning'), id: deploymentId, text: z.string() }),
  z.object({ ...stamped, type: z.literal('ended'), deployment: deploymentView })
])
export type DeploymentEvent = z.infer<typeof deploymentEvent>
/** What every event has, also one of a kind that is not known here. */
export const eventHead = z.object({ ...stamped, type: z.string() })
export const deploymentEventTypes: readonly string[] = deploymentEvent.options.flatMap(
  ({ shape }) => shape.type.value
)
export const agentEvent = z.object({ ...stamped, type: z.literal('agent'), agent: agentView })
export type AgentEvent = z.infer<typeof agentEvent>
export type StreamEvent = DeploymentEvent | AgentEvent

export const serverInfo = z.object({ version: z.string(), installation: z.string(), nowMs: atMs })

export const createEnvironment = z.object({ name: environmentName })
/** Enrolment: a JWS each way, so that neither rests on the transport. */
export const enrolRequest = z.object({ request: z.string() })
export const enrolResponse = z.object({ answer: z.string() })
/** An answer that says nothing but that it was done. */
export const unread = z.unknown()
/** Key announcements of the controller as JWS, oldest first. */
export const keysView = z.object({ chain: z.array(z.string()) })
export const healthView = z.object({ status: z.enum(['ok', 'stopping']) })
