// Environments and agents over HTTP.
import {
  agentId,
  environmentName,
  facts,
  hostName,
  inventory,
  labels,
  limits,
  parseSource,
  policySummary
} from '@longshore/protocol'
import * as z from 'zod'
import { versionSkews } from '../core/fleet/judge-skew.ts'
import { freezeOf } from './lock-schemas.ts'

const atMs = z.int()

/** `registry`, `mirror:HOST[/PREFIX]` or `artifact`. */
const sourceName = z
  .string()
  .max(600)
  .refine((text) => parseSource(text) !== undefined, 'expected registry, mirror:HOST[/PREFIX] or artifact')

/** What an environment is allowed or asked to do by itself. */
const settings = {
  /** Hosts that were changed by hand are repaired, not only shown. */
  heal: z.boolean(),
  /** Images come from there by promotion only; null: any tag or digest may be deployed. */
  promotesFrom: environmentName.nullable(),
  /** Where images come from, in order, for services that do not say; null: the registry, then the controller. */
  sources: z
    .array(sourceName)
    .min(1)
    .max(limits.maxImageSources)
    .refine((all) => new Set(all).size === all.length, 'names a source twice')
    .nullable()
}
/** A controller of the version before says nothing of what it does not know: defaults say the same. */
export const environmentView = z.object({
  name: environmentName,
  createdAtMs: atMs,
  agents: z.int(),
  heal: settings.heal.default(false),
  promotesFrom: settings.promotesFrom.default(null),
  sources: settings.sources.default(null),
  /** The whole environment is frozen; a frozen service stands in its status. */
  freeze: freezeOf.nullable().default(null)
})
export type EnvironmentView = z.infer<typeof environmentView>

export const agentState = z.enum(['connected', 'silent', 'held', 'revoked'])
export type AgentState = z.infer<typeof agentState>
export const agentView = z.object({
  id: agentId,
  name: hostName,
  environment: environmentName,
  state: agentState,
  /** Why it is held, revoked or silent; what to do. */
  reason: z.string().optional(),
  labels,
  agentVersion: z.string().nullable(),
  /** From the controller's version; null: not known. Absent: a controller of the version before does not say. */
  versionSkew: z.enum(versionSkews).nullable().optional(),
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

export const createEnvironment = z.object({ name: environmentName })
/** What is left out stays as it is. */
export const environmentSettings = z.object(settings).partial()
export type EnvironmentSettings = z.infer<typeof environmentSettings>
