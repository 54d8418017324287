// The messages that open and close a session: `welcome` (down), `hello` (up), `bye` (both).
import * as z from 'zod'
import {
  agentId,
  commandId,
  environmentName,
  hostName,
  labels,
  nonce,
  releaseNumber,
  serviceName,
  sessionId
} from '../ids.ts'
import { encryptionJwk } from '../keys.ts'
import { maxReasonChars } from '../limits.ts'
import { fence } from './command.ts'
import { inventory } from './inventory.ts'

/** What the agent measured of its host at start. Free text where the host decides the text. */
export const facts = z.object({
  os: z.string().max(128),
  kernel: z.string().max(128),
  architecture: z.string().max(32),
  /** null: no engine answers. */
  engineVersion: z.string().max(64).nullable(),
  engineApiVersion: z.string().max(16).nullable(),
  imageStore: z.enum(['classic', 'containerd']).nullable(),
  cpus: z.int().min(0),
  memoryBytes: z.int().min(0)
})
export type Facts = z.infer<typeof facts>

/** The host's policy, for display only: the agent enforces it. */
export const policySummary = z.object({
  state: z.enum(['absent', 'active', 'invalid']),
  path: z.string().max(4096).nullable(),
  detail: z.string().max(maxReasonChars)
})
export type PolicySummary = z.infer<typeof policySummary>

export const welcomeMessage = z.object({
  type: z.literal('welcome'),
  session: sessionId,
  agent: agentId,
  environment: environmentName,
  labels,
  clientNonce: nonce,
  serverNonce: nonce,
  /** Controller time in milliseconds since the epoch; the base for every `notAfterMs`. */
  nowMs: z.int(),
  pingIntervalMs: z.int().min(1),
  silenceLimitMs: z.int().min(1),
  /** Highest report number that is durable at the controller. */
  reportsUpTo: z.int().min(0)
})
export type WelcomeMessage = z.infer<typeof welcomeMessage>

export const serviceMark = z.object({
  environment: environmentName,
  service: serviceName,
  /** Highest fence ever accepted for the service. */
  fence,
  /** Highest release number ever seen for the service. */
  release: releaseNumber.nullable()
})
export type ServiceMark = z.infer<typeof serviceMark>

export const helloMessage = z.object({
  type: z.literal('hello'),
  agentVersion: z.string().max(64),
  hostName,
  facts,
  policy: policySummary,
  inventory,
  marks: z.array(serviceMark).max(1000),
  /** Commands journalled whose run has not ended. */
  runs: z.array(commandId).max(256),
  /** How far the host's clock is ahead of the controller's, as the agent computed it from `welcome`. */
  clockSkewMs: z.int(),
  /** In the place of the enrolment's, should the host have lost that one. Optional: older agents do not say. */
  encryptionKey: encryptionJwk.optional()
})
export type HelloMessage = z.infer<typeof helloMessage>

export const byeReasons = [
  'stopping',
  'reconnect',
  'revoked',
  'replaced',
  'silent',
  'overloaded',
  'protocol'
] as const
export const byeMessage = z.object({
  type: z.literal('bye'),
  reason: z.enum(byeReasons),
  detail: z.string().max(maxReasonChars).optional()
})
export type ByeMessage = z.infer<typeof byeMessage>
