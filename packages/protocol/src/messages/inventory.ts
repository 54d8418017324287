// `inventory` (up): what runs on the host now: our containers, by label, and the machine's load. Sent after
// Docker events and at a slow pace; the whole picture each time, so that the latest one is enough.
import * as z from 'zod'
import { deploymentId, digest, environmentName, releaseNumber, serviceName } from '../ids.ts'
import {
  maxContainerChanges,
  maxImageReleases,
  maxInventoryContainers,
  maxInventoryImages
} from '../limits.ts'

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

/** What HAProxy counted for one service, all its ports together. */
export const serviceTraffic = z.object({
  environment: environmentName,
  service: serviceName,
  /** Since the agent began to count; smaller than before: it began anew. */
  requests: z.int().min(0),
  /** Of them answered with 5xx, or not at all. In `mode: tcp` requests are connections, and errors those that failed. */
  errors: z.int().min(0),
  /** Over the last interval of the inventory. */
  requestsPerSecond: z.number().min(0),
  errorsPerSecond: z.number().min(0),
  /** Open now; upgraded ones are part of them. */
  sessions: z.int().min(0),
  upgraded: z.int().min(0),
  /** Mean time of an answer over the last 1024 requests; null: none, or `mode: tcp`. */
  latencyMs: z.number().min(0).nullable()
})
export type ServiceTraffic = z.infer<typeof serviceTraffic>

/** HAProxy on the host, as the agent knows it. `detail`: why it does not run. */
export const proxyState = z.object({
  state: z.enum(['running', 'down']),
  version: z.string().max(64).nullable(),
  detail: z.string().max(300)
})
export type ProxyState = z.infer<typeof proxyState>

/** An image that is kept for releases of one service. */
export const inventoryImage = z.object({
  environment: environmentName,
  service: serviceName,
  /** Newest first. */
  releases: z.array(releaseNumber).max(maxImageReleases),
  /** As releases pin it; null: not known any more. */
  digest: digest.nullable(),
  sizeBytes: z.int().min(0)
})
export type InventoryImage = z.infer<typeof inventoryImage>

export const inventory = z.object({
  isEngineReachable: z.boolean(),
  containers: z.array(inventoryContainer).max(maxInventoryContainers),
  diskFreeBytes: z.int().min(0).nullable(),
  diskTotalBytes: z.int().min(0).nullable(),
  /** One-minute load average. */
  load: z.number().nullable(),
  memoryFreeBytes: z.int().min(0).nullable(),
  /** Absent: no service of this host needs it. */
  proxy: proxyState.optional(),
  traffic: z.array(serviceTraffic).max(maxInventoryContainers).optional(),
  /** Absent: the agent does not say, or the engine did not. */
  images: z.array(inventoryImage).max(maxInventoryImages).optional()
})
export type Inventory = z.infer<typeof inventory>

export const inventoryMessage = z.object({ type: z.literal('inventory'), inventory })
export type InventoryMessage = z.infer<typeof inventoryMessage>
