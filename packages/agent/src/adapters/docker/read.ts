// Reads what the Engine answers about containers and images into the shapes of core/. Only fields that matter
// are named; the Engine adds others with every version.
import * as z from 'zod'
import { adjustableKeys } from '../../core/hand-changes.ts'
import type { SeenImage } from '../../core/image-match.ts'
import {
  type Health,
  neverRestart,
  type PublishedPort,
  type RestartPolicy,
  type SeenContainer
} from '../../core/observation.ts'
import { readOwnLabels } from '../../core/own-labels.ts'
import { ownNetworkName } from '../../core/own-network.ts'
import type { ContainerLook } from '../../ports.ts'
import { proxyLabel } from '../../proxy-containers.ts'

const state = z
  .enum(['created', 'running', 'restarting', 'paused', 'removing', 'exited', 'dead'])
  .catch('dead')
const labels = z.record(z.string(), z.string()).nullish()
/** `IPAddress` is '' while the container is stopped; what was asked for stays. */
const endpoints = z
  .record(
    z.string(),
    z.object({
      IPAddress: z.string().catch(''),
      IPAMConfig: z.object({ IPv4Address: z.string().nullish() }).nullish()
    })
  )
  .nullish()

const ownAddressOf = (networks: z.infer<typeof endpoints>): string | null => {
  const own = networks?.[ownNetworkName]
  return own?.IPAMConfig?.IPv4Address || own?.IPAddress || null
}

const listed = z.object({
  Id: z.string(),
  Names: z.array(z.string()).nullish(),
  Image: z.string(),
  Created: z.number(),
  State: state,
  Status: z.string().catch(''),
  Labels: labels,
  Ports: z
    .array(z.object({ IP: z.string().nullish(), PublicPort: z.number().nullish(), Type: z.string() }))
    .nullish(),
  NetworkSettings: z.object({ Networks: endpoints }).nullish()
})
export const listAnswer = z.array(listed)

/** `GET /containers/json`; the restart policy is not in it. */
export const readListed = (one: z.infer<typeof listed>): SeenContainer => {
  const owner = readOwnLabels(one.Labels ?? {})
  return {
    id: one.Id,
    name: (one.Names?.[0] ?? '').replace(/^\//, ''),
    state: one.State,
    health: healthFromStatus(one.Status),
    image: owner?.image ?? one.Image,
    createdAtMs: one.Created * 1000,
    restart: neverRestart,
    owner,
    publishes: (one.Ports ?? []).flatMap((port): PublishedPort[] =>
      port.PublicPort == null || (port.Type !== 'tcp' && port.Type !== 'udp')
        ? []
        : [{ port: port.PublicPort, protocol: port.Type, hostIp: port.IP ?? null }]
    ),
    ownAddress: ownAddressOf(one.NetworkSettings?.Networks),
    ...(proxyLabel in (one.Labels ?? {}) && { isOfAgent: true })
  }
}

const healthFromStatus = (status: string): Health => {
  if (status.includes('(healthy)')) return 'healthy'
  if (status.includes('(unhealthy)')) return 'unhealthy'
  return status.includes('(health: starting)') ? 'starting' : 'none'
}

const nanosecondsPerMs = 1_000_000
const nanoseconds = z.number().nullish()
const binding = z.object({ HostIp: z.string().catch(''), HostPort: z.string() })

const adjustable = z.union([z.number(), z.string()]).nullish().catch(null)

const inspected = z.object({
  Id: z.string(),
  Name: z.string(),
  Created: z.string(),
  RestartCount: z.number().catch(0),
  State: z.object({
    Status: state,
    Running: z.boolean(),
    Restarting: z.boolean().catch(false),
    ExitCode: z.number(),
    StartedAt: z.string(),
    FinishedAt: z.string().catch(''),
    Health: z
      .object({
        Status: z.enum(['none', 'starting', 'healthy', 'unhealthy']).catch('none'),
        Log: z
          .array(z.object({ Start: z.string(), End: z.string(), ExitCode: z.number() }))
          .nullish()
          .catch(null)
      })
      .nullish()
  }),
  Config: z.object({
    Image: z.string(),
    Labels: labels,
    Healthcheck: z
      .object({
        Test: z.array(z.string()).nullish(),
        Interval: nanoseconds,
        Timeout: nanoseconds,
        StartPeriod: nanoseconds,
        Retries: z.number().nullish()
      })
      .nullish()
  }),
  HostConfig: z.object({
    NetworkMode: z.string().catch(''),
    ...Object.fromEntries(adjustableKeys.map((key) => [key, adjustable])),
    RestartPolicy: z.object({ Name: z.string(), MaximumRetryCount: z.number().catch(0) }).nullish()
  }),
  NetworkSettings: z.object({
    Ports: z.record(z.string(), z.array(binding).nullish()).nullish(),
    Networks: endpoints
  })
})

/** What the check wrote stays where it is. */
const readLastCheck = (
  last: { Start: string; End: string; ExitCode: number } | undefined
): ContainerLook['lastCheck'] => {
  if (last === undefined) return null
  const tookMs = Math.round(Date.parse(last.End) - Date.parse(last.Start))
  return { startedAt: last.Start, exitCode: last.ExitCode, tookMs: Math.max(0, tookMs) || 0 }
}

/** `GET /containers/ID/json` */
export const readInspected = (answer: unknown): ContainerLook => {
  const one = inspected.parse(answer)
  const check = one.Config.Healthcheck
  const hasCheck = check != null && (check.Test?.length ?? 0) > 0 && check.Test?.[0] !== 'NONE'
  const bindings = readBindings(one.NetworkSettings.Ports ?? {})
  const owner = readOwnLabels(one.Config.Labels ?? {})
  return {
    id: one.Id,
    name: one.Name.replace(/^\//, ''),
    state: one.State.Status,
    health: one.State.Health?.Status ?? 'none',
    image: owner?.image ?? one.Config.Image,
    createdAtMs: Date.parse(one.Created) || 0,
    restart: readPolicy(one.HostConfig.RestartPolicy),
    owner,
    publishes: bindings.map(({ port, protocol, hostIp }) => ({ port, protocol, hostIp })),
    isRunning: one.State.Running && one.State.Status !== 'restarting',
    isRestarting: one.State.Restarting,
    ownAddress: ownAddressOf(one.NetworkSettings.Networks),
    startedAt: one.State.StartedAt,
    // What never ended has the year 1 here.
    finishedAtMs: Math.max(0, Date.parse(one.State.FinishedAt)) || null,
    restartCount: one.RestartCount,
    exitCode: one.State.ExitCode,
    checkup: hasCheck
      ? {
          intervalMs: (check.Interval ?? 0) / nanosecondsPerMs,
          timeoutMs: (check.Timeout ?? 0) / nanosecondsPerMs,
          startPeriodMs: (check.StartPeriod ?? 0) / nanosecondsPerMs,
          retries: check.Retries ?? 0
        }
      : null,
    lastCheck: readLastCheck(one.State.Health?.Log?.at(-1)),
    addresses: Object.values(one.NetworkSettings.Networks ?? {})
      .map((network) => network.IPAddress)
      .filter((address) => address !== ''),
    bindings: bindings.map(({ target, hostIp, port }) => ({ target, hostIp: hostIp ?? '', port })),
    isOnHostNetwork: one.HostConfig.NetworkMode === 'host',
    adjustable: Object.fromEntries(
      adjustableKeys.flatMap((key) => {
        const value = adjustable.parse((one.HostConfig as Record<string, unknown>)[key])
        return value == null ? [] : [[key, value]]
      })
    ),
    networks: Object.keys(one.NetworkSettings.Networks ?? {})
  }
}

/** @param policy Docker spells the absence of a policy '' or 'no' */
const readPolicy = (
  policy: { Name: string; MaximumRetryCount: number } | null | undefined
): RestartPolicy => {
  switch (policy?.Name) {
    case 'always':
    case 'on-failure':
    case 'unless-stopped':
      return { name: policy.Name, maxRetries: policy.MaximumRetryCount }
    default:
      return neverRestart
  }
}

type Bindings = Record<string, z.infer<typeof binding>[] | null | undefined>

const readBindings = (ports: Bindings) =>
  Object.entries(ports).flatMap(([key, bound]) => {
    const [target = '', protocol = ''] = key.split('/')
    if (protocol !== 'tcp' && protocol !== 'udp') return []
    return (bound ?? []).map((one) => ({
      target: Number(target),
      protocol: protocol as 'tcp' | 'udp',
      hostIp: one.HostIp,
      port: Number(one.HostPort)
    }))
  })

const image = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  RepoDigests: z.array(z.string()).nullish(),
  Os: z.string().catch(''),
  Architecture: z.string().catch(''),
  Variant: z.string().catch(''),
  Size: z.number().catch(0),
  RootFS: z.object({ Layers: z.array(z.string()).nullish() }).nullish()
})

/** `GET /images/NAME/json`, of both image stores. */
export const readImage = (answer: unknown): SeenImage => {
  const one = image.parse(answer)
  return {
    id: one.Id,
    repoTags: one.RepoTags ?? [],
    repoDigests: one.RepoDigests ?? [],
    os: one.Os,
    architecture: one.Architecture,
    variant: one.Variant,
    diffIds: one.RootFS?.Layers ?? [],
    sizeBytes: one.Size
  }
}
