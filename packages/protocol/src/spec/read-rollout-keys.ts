// Keys that say how a service is brought to its hosts: `deploy` and `x-longshore`.
import { maxReplicas } from '../limits.ts'
import { parseAmount, parseDuration } from './parse-units.ts'
import { readCommand, readDuration } from './read-container-keys.ts'
import { readResources } from './read-resource-keys.ts'
import { readRouting, routingKeys } from './read-routing-keys.ts'
import { readSources } from './read-sources.ts'
import {
  type Cursor,
  complain,
  type Fields,
  fieldsOf,
  itemsOf,
  parseWith,
  readBoolean,
  readInteger,
  readNumber,
  readOneOf,
  readText,
  ValueError
} from './read-value.ts'
import type { Constraint, ProbeSpec, ServiceSpec, UpdateSpec } from './service-spec.ts'

export const deployKeys = ['mode', 'replicas', 'placement', 'resources', 'update_config'] as const
export const placementKeys = ['constraints'] as const
export const updateKeys = [
  'parallelism',
  'delay',
  'order',
  'failure_action',
  'monitor',
  'max_failure_ratio'
] as const
export const longshoreKeys = [
  'healthy_timeout',
  'drain_timeout',
  'probe',
  'keep_images',
  'sources',
  'cache',
  'canary',
  'canary_max_error_ratio',
  'release_command',
  ...routingKeys
] as const
export const releaseCommandKeys = ['command', 'timeout'] as const
export const probeKeys = ['http', 'tcp', 'interval', 'timeout'] as const
export const httpProbeKeys = ['port', 'path', 'status'] as const
export const tcpProbeKeys = ['port'] as const

export const updateDefaults: UpdateSpec = {
  canary: null,
  parallelism: { unit: 'count', value: 1 },
  delayMs: 0,
  monitorMs: 10_000,
  order: 'stop-first',
  failureAction: 'rollback',
  maxFailureRatio: 0,
  canaryMaxErrorRatio: null
}

const refusedDeployKeys = {
  labels: 'labels of a swarm service are not supported; use labels',
  restart_policy: 'deploy.restart_policy is not supported; use restart',
  rollback_config: 'deploy.rollback_config is not supported; a rollback follows update_config',
  endpoint_mode: 'endpoint modes belong to swarm'
}

/** Known keys of x-longshore that are not there yet; refused, since ignoring them would be a lie. */
const laterLongshoreKeys = { secrets: 'secrets is not supported yet' }

export const readDeploy = (cursor: Cursor): Partial<ServiceSpec> => {
  const fields = fieldsOf(cursor, deployKeys, refusedDeployKeys)
  if (fields.mode !== undefined && readText(fields.mode) !== 'replicated') {
    complain(fields.mode, 'the only mode is replicated; replicas counts per host', 'not-supported')
  }
  return {
    ...(fields.replicas && { replicas: readInteger(fields.replicas, { min: 0, max: maxReplicas }) }),
    ...(fields.placement && { constraints: readPlacement(fields.placement) }),
    ...(fields.resources && readResources(fields.resources)),
    ...(fields.update_config && { update: readUpdate(fields.update_config) })
  }
}

const readPlacement = (cursor: Cursor): Constraint[] => {
  const { constraints } = fieldsOf(cursor, placementKeys, {
    preferences: 'preferences belong to swarm',
    max_replicas_per_node: 'replicas counts per host already'
  })
  if (constraints === undefined) return []
  const parsed = new Map<string, Constraint>()
  for (const item of itemsOf(constraints)) {
    const one = parseWith(item, parseConstraint, undefined)
    if (one !== undefined) parsed.set(JSON.stringify(one), one)
  }
  return [...parsed.values()]
}

const parseConstraint = (text: string): Constraint => {
  const own = /^\s*node\.labels\.([A-Za-z0-9_./-]{1,63})\s*(==|!=)\s*(\S.*?)\s*$/.exec(text)
  if (own?.[1] !== undefined && own[3] !== undefined) {
    return { label: own[1], operator: own[2] === '!=' ? '!=' : '==', value: own[3] }
  }
  if (/^\s*[\w.]+\s*[=!]=/.test(text))
    throw new ValueError('only node.labels.NAME can be compared', 'not-supported')
  throw new ValueError('expected node.labels.NAME == VALUE or node.labels.NAME != VALUE')
}

const readUpdate = (cursor: Cursor): UpdateSpec => {
  const fields = fieldsOf(cursor, updateKeys)
  return {
    ...updateDefaults,
    ...(fields.parallelism && {
      parallelism: parseWith(fields.parallelism, parseAmount, updateDefaults.parallelism)
    }),
    ...(fields.delay && { delayMs: readDuration(fields.delay) }),
    ...(fields.order && { order: readOneOf(fields.order, ['stop-first', 'start-first']) }),
    ...(fields.monitor && { monitorMs: readDuration(fields.monitor) }),
    ...(fields.failure_action && { failureAction: readFailureAction(fields.failure_action) }),
    ...(fields.max_failure_ratio && {
      maxFailureRatio: readNumber(fields.max_failure_ratio, { min: 0, max: 1 })
    })
  }
}

const readFailureAction = (cursor: Cursor): UpdateSpec['failureAction'] => {
  const action = readOneOf(cursor, ['rollback', 'pause', 'continue'])
  if (action !== 'continue') return action
  complain(cursor, 'continue is not supported; max_failure_ratio says what is tolerated', 'not-supported')
  return 'rollback'
}

/**
 * @param ports those of the service: with exactly one TCP port a probe need not name it
 * @param update of `deploy.update_config`, which the canary belongs to
 */
export const readLongshore = (
  cursor: Cursor,
  ports: ServiceSpec['ports'],
  update: UpdateSpec
): Partial<ServiceSpec> => {
  const fields = fieldsOf(cursor, longshoreKeys, laterLongshoreKeys)
  const probe = fields.probe === undefined ? null : readProbe(fields.probe, ports)
  return {
    update: { ...update, ...readCanary(fields) },
    ...(update.order === 'start-first' && { routing: readRouting(fields) }),
    ...(fields.release_command && { releaseCommand: readReleaseCommand(fields.release_command) }),
    ...(fields.healthy_timeout && { healthyTimeoutMs: readPositive(fields.healthy_timeout) }),
    ...(fields.drain_timeout && { drainTimeoutMs: readDuration(fields.drain_timeout) }),
    ...(probe && { probe }),
    ...(fields.keep_images && { keepImages: readInteger(fields.keep_images, { min: 0, max: 100 }) }),
    ...(fields.sources && { sources: readSources(fields.sources) }),
    ...(fields.cache && { cache: readBoolean(fields.cache) || null })
  }
}

const readCanary = (fields: Fields<'canary' | 'canary_max_error_ratio'>): Partial<UpdateSpec> => ({
  ...(fields.canary && { canary: readCanaryHosts(fields.canary) }),
  ...(fields.canary_max_error_ratio && {
    canaryMaxErrorRatio: readNumber(fields.canary_max_error_ratio, { min: 0, max: 1 })
  })
})

/** @returns null for 0: no host goes first */
const readCanaryHosts = (cursor: Cursor): UpdateSpec['canary'] => {
  const canary = parseWith(cursor, parseAmount, updateDefaults.parallelism)
  return canary.value === 0 ? null : canary
}

const releaseCommandTimeoutMs = 10 * 60_000

/** A text or list as in `command`, or a map with a time limit beside it. */
const readReleaseCommand = (cursor: Cursor): ServiceSpec['releaseCommand'] => {
  if (cursor.node.kind !== 'map') return releaseCommandOf(cursor, releaseCommandTimeoutMs)
  const { command, timeout } = fieldsOf(cursor, releaseCommandKeys)
  const timeoutMs = timeout === undefined ? releaseCommandTimeoutMs : readPositive(timeout)
  if (command !== undefined) return releaseCommandOf(command, timeoutMs)
  complain(cursor, 'a release command needs a command', 'missing-key')
  return null
}

const releaseCommandOf = (cursor: Cursor, timeoutMs: number): ServiceSpec['releaseCommand'] => {
  const command = readCommand(cursor)
  if (command.length > 0) return { command, timeoutMs }
  complain(cursor, 'a release command needs at least the name of a program')
  return null
}

const parsePositive = (text: string): number => {
  const duration = parseDuration(text)
  if (duration === 0) throw new ValueError('must be longer than 0')
  return duration
}

const readPositive = (cursor: Cursor): number => parseWith(cursor, parsePositive, 1)

const readProbe = (cursor: Cursor, ports: ServiceSpec['ports']): ProbeSpec | null => {
  const { http, tcp, interval, timeout } = fieldsOf(cursor, probeKeys)
  const timing = {
    intervalMs: interval === undefined ? 1000 : readPositive(interval),
    timeoutMs: timeout === undefined ? 5000 : readPositive(timeout)
  }
  if ((http === undefined) === (tcp === undefined)) {
    complain(cursor, 'a probe needs either http or tcp', http === undefined ? 'missing-key' : 'conflict')
    return null
  }
  if (tcp !== undefined) {
    return { type: 'tcp', port: readProbePort(tcp, fieldsOf(tcp, tcpProbeKeys).port, ports), ...timing }
  }
  if (http === undefined) return null
  const fields = fieldsOf(http, httpProbeKeys)
  return {
    type: 'http',
    port: readProbePort(http, fields.port, ports),
    path: fields.path === undefined ? '/' : parseWith(fields.path, checkUrlPath, '/'),
    status:
      fields.status === undefined ? { from: 200, to: 399 } : parseWith(fields.status, parseStatus, anyStatus),
    ...timing
  }
}

const readProbePort = (cursor: Cursor, port: Cursor | undefined, ports: ServiceSpec['ports']): number => {
  if (port !== undefined) return readInteger(port, { min: 1, max: 65_535 })
  const targets = new Set(ports.filter((one) => one.protocol === 'tcp').map((one) => one.target))
  const [only] = targets
  if (only === undefined || targets.size > 1) {
    complain(cursor, 'the probe needs a port, unless the service has exactly one', 'missing-key')
  }
  return only ?? 1
}

const checkUrlPath = (text: string): string => {
  if (/^\/[\x21-\x7e]*$/.test(text)) return text
  throw new ValueError('expected a path like /health, without spaces')
}

const anyStatus = { from: 200, to: 399 }

const parseStatus = (text: string): { from: number; to: number } => {
  const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text)
  const from = Number(match?.[1])
  const to = Number(match?.[2] ?? match?.[1])
  if (match === null || to < from) throw new ValueError('expected a status like 200, or a range like 200-299')
  return { from, to }
}
