// The bodies of the webhook routes, and what a webhook receives. docs/webhooks.md shows each event; times in bodies
// of the API are `...AtMs`, times in events are RFC 3339, as the Standard Webhooks specification has them.
import {
  agentId,
  deploymentId,
  environmentName,
  hostName,
  releaseNumber,
  serviceName,
  webhookId
} from '@longshore/protocol'
import * as z from 'zod'

const deploymentTypes = [
  'deployment.started',
  'deployment.paused',
  'deployment.succeeded',
  'deployment.reverted',
  'deployment.mixed',
  'deployment.refused',
  'deployment.cancelled'
] as const
const hostTypes = ['host.lost', 'host.returned'] as const
export const noticeTypes = [...deploymentTypes, 'convergence.given-up', ...hostTypes] as const
/** What may be asked for; `webhook.test` comes to every webhook. */
export const noticeType = z.enum(noticeTypes)
export type NoticeType = z.infer<typeof noticeType>

export const webhookFormats = ['standard', 'slack'] as const
export const webhookFormat = z.enum(webhookFormats)
export type WebhookFormat = z.infer<typeof webhookFormat>

export const createWebhook = z.object({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'expected letters, digits, `.`, `_` and `-`'),
  url: z.url({ protocol: /^https?$/ }).max(2000),
  format: webhookFormat.default('standard'),
  /** Empty: all of them, also those that are made later. */
  environments: z.array(environmentName).max(100).default([]),
  /** Empty: all of them. */
  events: z.array(noticeType).max(noticeTypes.length).default([])
})
export type CreateWebhook = z.infer<typeof createWebhook>
/** The only time the signing secret is seen; null for a format without signature. */
export const createdWebhook = z.object({ id: webhookId, name: z.string(), secret: z.string().nullable() })
export type CreatedWebhook = z.infer<typeof createdWebhook>

const atMs = z.int()
export const webhookView = z.object({
  id: webhookId,
  name: z.string(),
  format: webhookFormat,
  /** Scheme and host only: the rest of the URL may be a secret. */
  target: z.string(),
  environments: z.array(environmentName),
  events: z.array(noticeType),
  state: z.enum(['active', 'disabled']),
  /** Why it is disabled. */
  reason: z.string().nullable(),
  createdAtMs: atMs,
  createdBy: z.string(),
  /** How the last try ended; null: there was none. */
  lastTry: z.object({ atMs, isDelivered: z.boolean(), detail: z.string() }).nullable(),
  /** Notifications that are still tried, and those that were given up lately. */
  waiting: z.int(),
  givenUp: z.int()
})
export type WebhookView = z.infer<typeof webhookView>
/** The receiver took it. */
export const testedWebhook = z.object({ id: webhookId, name: z.string(), detail: z.string() })
export type TestedWebhook = z.infer<typeof testedWebhook>

const noticedService = z.object({
  service: serviceName,
  /** null: none, the service was removed. */
  release: releaseNumber.nullable(),
  previousRelease: releaseNumber.nullable(),
  repository: z.string(),
  tag: z.string().nullable(),
  digest: z.string().nullable()
})
const noticedHost = z.object({
  host: hostName,
  service: serviceName,
  state: z.string(),
  serving: z.string(),
  reason: z.string().nullable()
})
const deploymentData = z.object({
  deployment: deploymentId,
  mode: z.string(),
  environment: environmentName,
  services: z.array(noticedService),
  outcome: z.string().nullable(),
  reason: z.string().nullable(),
  requestedBy: z.string(),
  /** What was owed before an upgrade does not say. */
  build: z.string().nullable().default(null),
  requestedAt: z.string(),
  endedAt: z.string().nullable(),
  /** Those that are not well; at most 50, `hostsLeftOut` counts the others. */
  hosts: z.array(noticedHost),
  hostsLeftOut: z.int()
})
const hostsData = z.object({
  environment: environmentName,
  hosts: z.array(z.object({ host: hostName, agent: agentId, lastSeenAt: z.string().nullable() })),
  hostsLeftOut: z.int()
})
const convergenceData = z.object({
  environment: environmentName,
  service: serviceName,
  host: hostName,
  release: releaseNumber.nullable(),
  tries: z.int(),
  reason: z.string()
})
const testData = z.object({ webhook: webhookId, name: z.string(), requestedBy: z.string() })

const stamped = { timestamp: z.string() }
export const notice = z.discriminatedUnion('type', [
  z.object({
    ...stamped,
    type: z.enum(deploymentTypes),
    data: deploymentData
  }),
  z.object({ ...stamped, type: z.literal('convergence.given-up'), data: convergenceData }),
  z.object({ ...stamped, type: z.enum(hostTypes), data: hostsData }),
  z.object({ ...stamped, type: z.literal('webhook.test'), data: testData })
])
/** One event as it is sent: the body of a notification. */
export type Notice = z.infer<typeof notice>
export type DeploymentNotice = Extract<Notice, { data: { deployment: unknown } }>
export type HostsNotice = Extract<Notice, { data: { hosts: { lastSeenAt: unknown }[] } }>
