// What runs where: per service of an environment its release, who holds it, and each host.
import {
  deploymentId,
  digest,
  environmentName,
  hostName,
  proxyState,
  releaseNumber,
  serviceName
} from '@longshore/protocol'
import * as z from 'zod'
import { versionSkews } from '../core/fleet/judge-skew.ts'
import { freezeOf, lockOf } from './lock-schemas.ts'

/** How a host may differ from what was decided for it. */
export const driftKinds = ['missing', 'extra', 'changed', 'crash-looping', 'stale', 'unknown'] as const
export const driftKind = z.enum(driftKinds)
export type DriftKind = z.infer<typeof driftKind>

/** What the controller does by itself about a host that differs. */
export const convergenceView = z.object({
  /** Begun so far, of as many as there are before it is given up. */
  tries: z.int().min(0),
  triesMax: z.int().min(1),
  /** null: not before something changes. */
  nextAtMs: z.int().nullable(),
  /** Why the last try failed. */
  reason: z.string().nullable(),
  isGivenUp: z.boolean()
})
export type ConvergenceView = z.infer<typeof convergenceView>

/** What HAProxy brings to a `start-first` service, now. */
export const trafficView = z.object({
  requestsPerSecond: z.number(),
  errorsPerSecond: z.number(),
  /** The share of requests that failed; null: there are none. */
  errorRatio: z.number().nullable(),
  sessions: z.int(),
  upgraded: z.int(),
  /** Mean time of an answer; null: not known. */
  latencyMs: z.number().nullable()
})
export type TrafficView = z.infer<typeof trafficView>

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
  /** The host differs from the current release: how, in words. */
  drift: z.string().optional(),
  driftKind: driftKind.optional(),
  convergence: convergenceView.optional(),
  /** Where the image of that release came from, as in a deployment's target; null: it was on the host. Absent: not known. */
  source: z.string().nullable().optional(),
  /** Absent: none is told, or the host was not heard of lately. */
  traffic: trafficView.optional(),
  /** HAProxy on the host, where the service needs it. */
  proxy: proxyState.optional(),
  /** Its agent has another version than the controller: which. */
  agent: z.object({ version: z.string(), skew: z.enum(versionSkews).exclude(['none']) }).optional()
})
export type HostStatus = z.infer<typeof hostStatus>

/** What one host holds of images of releases, as it said last. */
export const hostImages = z.object({
  environment: environmentName,
  host: hostName,
  isConnected: z.boolean(),
  diskFreeBytes: z.int().nullable(),
  diskTotalBytes: z.int().nullable(),
  /** null: it has not said, or its agent is too old to. */
  images: z
    .array(
      z.object({
        service: serviceName,
        /** Those that the image is kept for, newest first. */
        releases: z.array(releaseNumber),
        /** As releases pin it; null: not known there. */
        digest: digest.nullable(),
        sizeBytes: z.int()
      })
    )
    .nullable()
})
export type HostImages = z.infer<typeof hostImages>
/** Defaults: for a controller of the version before, which knows nothing of them. */
export const statusView = z.object({
  environment: environmentName,
  service: serviceName,
  /** Current release: the last succeeded one; null: none yet, or removed. */
  release: releaseNumber.nullable(),
  tag: z.string().nullable(),
  digest: digest.nullable(),
  /** The deployment in progress, which holds the lock. */
  deployment: deploymentId.nullable(),
  lock: lockOf.nullable().default(null),
  /** Of the service, else of its environment. */
  freeze: freezeOf.nullable().default(null),
  hosts: z.array(hostStatus),
  /** Of all hosts together. */
  traffic: trafficView.optional()
})
export type StatusView = z.infer<typeof statusView>
