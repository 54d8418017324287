// Deployments and releases over HTTP: what may be asked for, and how a deployment is shown.
import {
  agentId,
  agentService,
  amount,
  connections,
  deploymentId,
  digest,
  environmentName,
  healthAnswer,
  hostName,
  releaseNumber,
  serviceName,
  stepReceipt,
  trafficMove
} from '@longshore/protocol'
import * as z from 'zod'
import { cacheStates, modes, outcomes, phases, targetStates } from '../core/deployment/vocabulary.ts'
import { buildName, requestReason } from './lock-schemas.ts'
import { specChange } from './spec-schemas.ts'

const atMs = z.int()
const reason = z.string()

/** What to bring to the hosts. Which spec goes with it: the latest of the environment, except for `rollback` and `current`. */
export const deployWhat = z.discriminatedUnion('by', [
  /** A tag of the service's image, or a digest of it. */
  z.object({ by: z.literal('tag'), tag: z.string().regex(/^[\w][\w.-]{0,127}$/) }),
  z.object({ by: z.literal('digest'), digest }),
  /** release null: the last good one before the current. */
  z.object({ by: z.literal('rollback'), release: releaseNumber.nullable() }),
  /** The very image that is current in another environment, or with `digest` the one of a release that succeeded there. */
  z.object({ by: z.literal('promote'), from: environmentName, digest: digest.optional() }),
  /** The current release once more; a restart together with `recreate`. */
  z.object({ by: z.literal('current') }),
  /** Goes with mode `remove`, and only with that. */
  z.object({ by: z.literal('nothing') })
])
export type DeployWhat = z.infer<typeof deployWhat>

export const deployMode = z.enum(['deploy', 'rehearse', 'plan', 'remove', 'upgrade'])
export type DeployMode = z.infer<typeof deployMode>
/** `converge` is begun by the controller itself, never asked for. */
export const mode = z.enum(modes)
export type Mode = z.infer<typeof mode>

/** Whoever asks for more wants several requests: they would roll one after the other all the same. */
const maxServices = 50
const maxKeyChars = 300

export const deployRequest = z
  .strictObject({
    service: serviceName,
    environment: environmentName,
    what: deployWhat,
    mode: deployMode.default('deploy'),
    /** Several services, all or nothing, in the order in which they roll; `what` counts where none of its own is given. */
    services: z
      .array(z.strictObject({ service: serviceName, what: deployWhat.optional() }))
      .min(1)
      .max(maxServices)
      .optional(),
    recreate: z.boolean().default(false),
    offline: z.enum(['fail', 'skip']).default('fail'),
    /** Name of an unmanaged container that may be taken over. */
    replace: z.string().max(255).nullable().default(null),
    /** The same key again attaches to what the first request began, see docs/api.md. */
    idempotencyKey: z.string().min(1).max(maxKeyChars).nullable().default(null),
    /** Goes with mode `upgrade`, and only with that. */
    upgrade: z
      .strictObject({
        /** Of the agent's image; tag or digest stand in `what`. */
        repository: z.string().min(1).max(512),
        /** So many hosts at a time. */
        parallelism: amount.default({ unit: 'count', value: 1 }),
        /** Absent: every active agent of the environment. */
        hosts: z.array(hostName).min(1).max(10_000).optional()
      })
      .optional(),
    /** Shown to whoever meets the lock. */
    reason: requestReason.nullable().default(null),
    /** Which build asks, for those who look later. */
    build: buildName.nullable().default(null)
  })
  .superRefine(({ service, services = [], what, mode: asked, upgrade }, context) => {
    const refuse = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message })
    const names = services.map((one) => one.service)
    if (names.length > 0 && names[0] !== service) refuse(['service'], 'is not the first of services')
    if (new Set(names).size < names.length) refuse(['services'], 'names a service twice')
    const wanted = [what, ...services.flatMap((one) => one.what ?? [])]
    if (wanted.some(({ by }) => (by === 'nothing') !== (asked === 'remove')))
      refuse(['what'], 'by nothing goes with mode remove, and only with that')
    if ((asked === 'upgrade') !== (upgrade !== undefined))
      refuse(['upgrade'], 'goes with mode upgrade, and only with that')
    if (asked !== 'upgrade') return
    if (service !== agentService || services.length > 0) refuse(['service'], `is not ${agentService} alone`)
    if (what.by !== 'tag' && what.by !== 'digest') refuse(['what'], 'is neither a tag nor a digest')
  })
export type DeployRequest = z.infer<typeof deployRequest>

export { modes, outcomes, phases, targetStates }
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
  bytes: z.object({ done: z.int(), total: z.int() }).optional(),
  /** While former containers are drained: what they still have. */
  connections: connections.optional(),
  /** While containers are to become healthy, or to stay so: the latest answer of each. */
  health: z.array(healthAnswer).optional()
})
export type ProgressView = z.infer<typeof progressView>

/** Something that stands in the way, as an error code and a sentence. */
export const refusalView = z.object({ code: z.string(), detail: z.string() })
export type RefusalView = z.infer<typeof refusalView>

/** Mode `plan`: what a deployment would do on this host. */
export const targetPlan = z.object({
  /** Exactly this runs there already: nothing would be restarted. */
  isRunning: z.boolean(),
  /** What serves there now; null: nothing of this service. */
  serves: z.object({ release: releaseNumber.nullable(), image: z.string().nullable() }).nullable(),
  /** In the order in which they would run. */
  steps: z.array(z.string()),
  /** Why the host would not do it. */
  refusals: z.array(refusalView),
  /** From the spec of what serves there to the one that would. */
  changes: z.array(specChange),
  /** What to know beforehand, such as a gap in service. */
  notices: z.array(z.string()).optional()
})
export type TargetPlan = z.infer<typeof targetPlan>

/** `source` as in `targetView`; `code`: a run code. */
export const sourceFailureView = z.object({ source: z.string(), code: z.string(), detail: z.string() })
export type SourceFailureView = z.infer<typeof sourceFailureView>

export const targetView = z.object({
  service: serviceName,
  host: hostName,
  agent: agentId,
  state: targetState,
  /** Which release answers there. */
  serving: z.enum(['new', 'old', 'none', 'unknown']),
  /** Its number; null: none, or not known. */
  servingRelease: releaseNumber.nullable().optional(),
  batch: z.int().min(1).nullable(),
  reason: reason.optional(),
  code: z.string().optional(),
  /** Last lines of the container's log, when it failed. */
  log: z.array(z.string()).optional(),
  progress: progressView.optional(),
  /** What its commands did, in order; the times count from the beginning of each command. */
  steps: z.array(stepReceipt).optional(),
  plan: targetPlan.optional(),
  /** Where its image came from: `registry`, `mirror:HOST`, `artifact`; null: it was there. Absent: not staged. */
  source: z.string().nullable().optional(),
  /** Sources that were tried before, or all in vain. */
  failedSources: z.array(sourceFailureView).optional(),
  /** State `released`, with `start-first`: how traffic came to the new containers, milliseconds. */
  traffic: trafficMove.optional()
})
export type TargetView = z.infer<typeof targetView>

/** The release command, run once for the deployment on one host, before anything is switched. */
export const releaseCommandView = z.object({
  /** unknown: nobody knows whether it ran to its end; the deployment is refused then. */
  state: z.enum(['pending', 'running', 'succeeded', 'failed', 'unknown']),
  host: hostName.nullable(),
  exitCode: z.int().nullable(),
  /** Its last lines of output. */
  log: z.array(z.string())
})
export type ReleaseCommandView = z.infer<typeof releaseCommandView>

export const rolloutView = z.object({
  /** Size of the first batch; null: no canary. */
  canary: amount.nullable(),
  parallelism: amount,
  delayMs: z.int(),
  maxFailureRatio: z.number(),
  failureAction: z.enum(['rollback', 'pause']),
  /** How much worse the canary's new containers may be; null, or absent: not compared. */
  canaryMaxErrorRatio: z.number().nullable().optional()
})

const brought = {
  service: serviceName,
  release: releaseNumber,
  previousRelease: releaseNumber.nullable(),
  repository: z.string(),
  tag: z.string().nullable(),
  /** null until resolved. */
  digest: digest.nullable(),
  specRevision: z.int(),
  unchanged: z.boolean()
}
/** One service of a deployment. Mode `remove`: `release` is the one that is taken away. */
export const servicePart = z.object({
  ...brought,
  releaseCommand: releaseCommandView.optional(),
  rollout: rolloutView.optional(),
  /** How far the controller is with fetching the image for its hosts. Absent: it does not. */
  cache: z.enum(cacheStates).optional()
})
export type ServicePart = z.infer<typeof servicePart>

export const deploymentView = z.object({
  id: deploymentId,
  mode,
  /** These, down to `unchanged`, are those of the first service. */
  ...brought,
  /** Every service, in the order in which they roll. */
  services: z.array(servicePart).min(1),
  environment: environmentName,
  phase,
  /** Phase `rolling`: the batch that switches now. */
  batch: z.int().min(1).optional(),
  outcome: outcome.nullable(),
  /** One sentence: why it ended like this. */
  reason: reason.nullable(),
  /** What was asked for, of the first service. */
  what: deployWhat,
  isCancelRequested: z.boolean(),
  requestedBy: z.string(),
  /** Why it was asked for, as given with the request. */
  requestReason: reason.nullable(),
  /** Which build asked for it, an address or a name. null: none, or a controller of the version before. */
  build: z.string().nullable().default(null),
  requestedAtMs: atMs,
  endedAtMs: atMs.nullable(),
  /** The first deployment of the same idempotency key, when none of that key is current any more. */
  attemptOf: deploymentId.nullable(),
  /** In the answer to a request only: its key belonged to this deployment already, nothing new was begun. */
  attached: z.boolean().optional(),
  /** Phase `paused`: why, and when it goes back by itself. */
  pause: z.object({ reason, untilMs: atMs }).optional(),
  /** Mode `plan`: why the controller would refuse the real request. */
  refusals: z.array(refusalView).optional(),
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
  /**
   * As far as `keep_images` goes, hosts that ran it still have its image: going back to it needs no registry.
   * null: a controller of the version before does not say.
   */
  isKept: z.boolean().nullable().default(null),
  createdAtMs: atMs,
  createdBy: z.string(),
  /** Which build asked for the deployment that made it. */
  build: z.string().nullable().default(null)
})
export type ReleaseView = z.infer<typeof releaseView>
