// The bodies of the HTTP API, defined once: the server checks and documents with them (OpenAPI), the CLI reads
// with them. Times are `...AtMs`, milliseconds since the epoch by the controller's clock.
import { deploymentId, environmentName, labels, serviceName, tokenId } from '@longshore/protocol'
import * as z from 'zod'
import { freezeView, lockView } from './lock-schemas.ts'
import { permission } from './permission-schema.ts'

export * from './audit-schemas.ts'
export * from './deployment-schemas.ts'
export * from './event-schemas.ts'
export * from './fleet-schemas.ts'
export * from './issuer-schemas.ts'
export * from './lock-schemas.ts'
export * from './log-schemas.ts'
export * from './permission-schema.ts'
export * from './registry-schemas.ts'
export * from './session-schemas.ts'
export * from './spec-schemas.ts'
export * from './status-schemas.ts'
export * from './webhook-schemas.ts'

const atMs = z.int()

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
  /** Code `locked`: the deployment that holds the service. */
  lock: lockView.optional(),
  /** Code `frozen`: which freeze, whose and why. */
  freeze: freezeView.optional(),
  /** Code `idempotency-conflict`: the deployment that the key belongs to. */
  deployment: deploymentId.optional(),
  /** A request for several services: what is wrong with each; `code` and `detail` at the top are of the first. */
  errors: z.array(z.object({ service: serviceName, code: z.string(), detail: z.string() })).optional()
})
export type Problem = z.infer<typeof problem>

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

/** As it stands in the audit and in lists: nothing that hides or turns around what is beside it, no name of a person. */
const tokenName = z
  .string()
  .min(1)
  .max(100)
  .regex(
    /^(?!oidc:)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u,
    'expected no control characters, and another beginning than `oidc:`, which is of issuers'
  )
export const createApiToken = z.object({
  name: tokenName,
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

export const serverInfo = z.object({
  version: z.string(),
  installation: z.string(),
  nowMs: atMs,
  /** Who asked, as the audit and lists name it. Older controllers do not say. */
  caller: z.object({ name: z.string(), allow: z.array(permission) }).optional()
})

/** Enrolment: a JWS each way, so that neither rests on the transport. */
export const enrolRequest = z.object({ request: z.string() })
export const enrolResponse = z.object({ answer: z.string() })
/** A JWS of kind `leave`. */
export const leaveRequest = z.object({ request: z.string() })
/** An answer that says nothing but that it was done. */
export const unread = z.unknown()
/** Key announcements of the controller as JWS, oldest first. */
export const keysView = z.object({ chain: z.array(z.string()) })
export const healthView = z.object({ status: z.enum(['ok', 'stopping']) })
