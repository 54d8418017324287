// `inventory` (up): what runs on the host now: our containers, by label, and the machine's load. Sent after
// Docker events and at a slow pace; the whole picture each time, so that the latest one is enough.
import * as z from 'zod'
import { deploymentId, environmentName, releaseNumber, serviceName } from '../ids.ts'
import { maxContainerChanges, maxInventoryContainers } from '../limits.ts'

export const containerState = z.enum([
  'created',
  'running',
  'restarting',
  'paused',
  'removing',
  'exited',
  'dead'
])
export type ContainerState = z.infer<typeof containerState>

export const containerRole = z.enum(['serving', 'kept', 'rehearsal', 'once'])
export type ContainerRole = z.infer<typeof containerRole>

export const inventoryContainer = z.object({
  /** First 12 characters of Docker's id. */
  id: z.string().max(64),
  name: z.string().max(255),
  environment: environmentName,
  service: serviceName,
  release: releaseNumber,
  index: z.int().min(0),
  deployment: deploymentId.nullable(),
  state: containerState,
  health: z.enum(['none', 'starting', 'healthy', 'unhealthy']),
  restartCount: z.int().min(0),
  startedAtMs: z.int().nullable(),
  exitCode: z.int().nullable(),
  image: z.string().max(1024),
  /** Stopped by us and kept for a revert. */
  isKept: z.boolean(),
  /** Hash of the spec that it was made from, by its label; '': told by an agent that does not say. */
  specHash: z.string().max(128).default(''),
  /** What it is for. `rehearsal` and `once` are no replicas. An older agent says `serving` for kept ones too. */
  role: containerRole.default('serving'),
  /** What was changed by hand since it was made, in words for people. Empty: nothing that the agent can see. */
  changes: z.array(z.string().max(300)).max(maxContainerChanges).default([])
})
export type InventoryContainer = z.infer<typeof inventoryContainer>

export const inventory = z.object({
  isEngineReachable: z.boolean(),
  containers: z.array(inventoryContainer).max(maxInventoryContainers),
  diskFreeBytes: z.int().min(0).nullable(),
  diskTotalBytes: z.int().min(0).nullable(),
  /** One-minute load average. */
  load: z.number().nullable(),
  memoryFreeBytes: z.int().min(0).nullable()
})
export type Inventory = z.infer<typeof inventory>

export const inventoryMessage = z.object({ type: z.literal('inventory'), inventory })
export type InventoryMessage = z.infer<typeof inventoryMessage>
