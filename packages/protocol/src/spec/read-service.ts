// One service of the merged tree -> one spec: which key is read by what, and the defaults. The rules that concern
// several keys at once stand in check-together.ts.

import { checkTogether } from './check-together.ts'
import { parseBytesOrUnlimited } from './parse-units.ts'
import {
  readCommand,
  readContainerName,
  readDuration,
  readEnvironment,
  readHealthcheck,
  readImage,
  readLabels,
  readLogging,
  readPlatform,
  readPullPolicy,
  readRestart,
  readUser
} from './read-container-keys.ts'
import type { EnvironmentReader } from './read-environment.ts'
import { readExpose, readExtraHosts, readNamespace, readNetworks, readPorts } from './read-network-keys.ts'
import { readBytes, readCpus, readPids, readUlimits } from './read-resource-keys.ts'
import { readDeploy, readLongshore, updateDefaults } from './read-rollout-keys.ts'
import { routingDefaults } from './read-routing-keys.ts'
import { readDevices, readGpus, readTmpfs, readVolumes } from './read-storage-keys.ts'
import {
  type Cursor,
  childrenOf,
  complain,
  isNull,
  parseWith,
  readBoolean,
  readInteger,
  readText,
  readTextMap,
  readTextOrTexts,
  readTexts,
  refuseKey
} from './read-value.ts'
import { type ServiceSpec, serviceSpec } from './service-spec.ts'

/** What the readers of a service need from outside it. */
export type ServiceContext = {
  readonly environment: EnvironmentReader
  /** Names on the host, by the keys of the top-level definitions. */
  readonly networkNames: ReadonlyMap<string, string>
  readonly volumeNames: ReadonlyMap<string, string>
  readonly note: (text: string) => void
}

type Patch = Partial<ServiceSpec>
type KeyReader = (cursor: Cursor, context: ServiceContext) => Patch

/** Every key with a meaning of its own; `environment`, `env_file` and `x-longshore` need their neighbours. */
const readers = {
  image: (cursor) => ({ image: readImage(cursor) }),
  command: (cursor) => ({ command: readCommand(cursor) }),
  entrypoint: (cursor) => ({ entrypoint: readCommand(cursor) }),
  environment: () => ({}),
  env_file: () => ({}),
  ports: (cursor) => ({ ports: readPorts(cursor) }),
  expose: (cursor) => ({ expose: readExpose(cursor) }),
  volumes: (cursor, { volumeNames }) => ({ volumes: readVolumes(cursor, volumeNames) }),
  tmpfs: (cursor) => ({ tmpfs: readTmpfs(cursor) }),
  restart: (cursor) => ({ restart: readRestart(cursor) }),
  logging: (cursor) => ({ logging: readLogging(cursor) }),
  healthcheck: (cursor) => ({ healthcheck: readHealthcheck(cursor) }),
  labels: (cursor) => ({ labels: readLabels(cursor) }),
  annotations: (cursor) => ({ annotations: readTextMap(cursor) }),
  user: (cursor) => ({ user: readUser(cursor) }),
  group_add: (cursor) => ({ groupAdd: readTexts(cursor) }),
  working_dir: (cursor) => ({ workingDir: readText(cursor) }),
  hostname: (cursor) => ({ hostname: readText(cursor) }),
  domainname: (cursor) => ({ domainName: readText(cursor) }),
  extra_hosts: (cursor) => ({ extraHosts: readExtraHosts(cursor) }),
  dns: (cursor) => ({ dns: readTextOrTexts(cursor) }),
  dns_search: (cursor) => ({ dnsSearch: readTextOrTexts(cursor) }),
  dns_opt: (cursor) => ({ dnsOptions: readTextOrTexts(cursor) }),
  networks: (cursor, { networkNames }) => ({ networks: readNetworks(cursor, networkNames) }),
  network_mode: (cursor) => ({ networkMode: readNamespace(cursor) }),
  pid: (cursor) => ({ pid: readNamespace(cursor) }),
  ipc: (cursor) => ({ ipc: readNamespace(cursor) }),
  cap_add: (cursor) => ({ capAdd: readTexts(cursor) }),
  cap_drop: (cursor) => ({ capDrop: readTexts(cursor) }),
  read_only: (cursor) => ({ isReadOnly: readBoolean(cursor) }),
  security_opt: (cursor) => ({ securityOpt: readTexts(cursor) }),
  userns_mode: (cursor) => ({ usernsMode: readText(cursor) }),
  init: (cursor) => ({ init: readBoolean(cursor) }),
  tty: (cursor) => ({ tty: readBoolean(cursor) }),
  stdin_open: (cursor) => ({ stdinOpen: readBoolean(cursor) }),
  ulimits: (cursor) => ({ ulimits: readUlimits(cursor) }),
  shm_size: (cursor) => ({ shmSizeBytes: readBytes(cursor) }),
  sysctls: (cursor) => ({ sysctls: readTextMap(cursor) }),
  mem_limit: (cursor) => ({ memoryLimitBytes: readBytes(cursor) }),
  mem_reservation: (cursor) => ({ memoryReservationBytes: readBytes(cursor) }),
  memswap_limit: (cursor) => ({ memorySwapLimitBytes: parseWith(cursor, parseBytesOrUnlimited, 0) }),
  oom_score_adj: (cursor) => ({ oomScoreAdj: readInteger(cursor, { min: -1000, max: 1000 }) }),
  cpus: (cursor) => ({ nanoCpus: readCpus(cursor) }),
  pids_limit: (cursor) => ({ pidsLimit: readPids(cursor) }),
  cgroup_parent: (cursor) => ({ cgroupParent: readText(cursor) }),
  runtime: (cursor) => ({ runtime: readText(cursor) }),
  stop_signal: (cursor) => ({ stopSignal: readText(cursor) }),
  stop_grace_period: (cursor) => ({ stopGracePeriodMs: readDuration(cursor) }),
  devices: (cursor) => ({ devices: readDevices(cursor) }),
  gpus: (cursor) => ({ gpus: readGpus(cursor) }),
  privileged: (cursor) => ({ isPrivileged: readBoolean(cursor) }),
  pull_policy: (cursor) => ({ pullPolicy: readPullPolicy(cursor) }),
  platform: (cursor) => ({ platform: readPlatform(cursor) }),
  container_name: (cursor) => ({ containerName: readContainerName(cursor) }),
  deploy: (cursor) => readDeploy(cursor),
  'x-longshore': () => ({})
} satisfies Record<string, KeyReader>

export const serviceKeys = Object.keys(readers) as (keyof typeof readers)[]

/** Accepted so that one file serves both, and without effect here. */
export const composeOnlyKeys = ['build', 'depends_on', 'profiles', 'develop'] as const

const refusedKeys: Readonly<Record<string, string>> = {
  secrets: 'secrets is not supported yet',
  configs: 'configs is not supported; mount a file of the host',
  extends: 'extends is not supported; use several files or anchors',
  links: 'links is not supported; use networks',
  external_links: 'external_links is not supported; use networks',
  volumes_from: 'volumes_from is not supported; name the volumes',
  scale: 'scale is not supported; use deploy.replicas'
}

/** Every default of a service file, once. */
const defaults: Omit<ServiceSpec, 'image'> = {
  command: null,
  entrypoint: null,
  environment: {},
  ports: [],
  expose: [],
  volumes: [],
  tmpfs: {},
  restart: { name: 'no', maxRetries: 0 },
  logging: null,
  healthcheck: null,
  labels: {},
  annotations: {},
  user: null,
  groupAdd: [],
  workingDir: null,
  hostname: null,
  domainName: null,
  extraHosts: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  networks: [],
  networkMode: null,
  pid: null,
  ipc: null,
  capAdd: [],
  capDrop: [],
  isReadOnly: false,
  securityOpt: [],
  usernsMode: null,
  init: null,
  tty: false,
  stdinOpen: false,
  ulimits: {},
  shmSizeBytes: null,
  sysctls: {},
  memoryLimitBytes: null,
  memoryReservationBytes: null,
  memorySwapLimitBytes: null,
  oomScoreAdj: null,
  nanoCpus: null,
  pidsLimit: null,
  cgroupParent: null,
  runtime: null,
  stopSignal: null,
  stopGracePeriodMs: 10_000,
  devices: [],
  gpus: null,
  isPrivileged: false,
  pullPolicy: 'missing',
  platform: null,
  containerName: null,
  replicas: 1,
  constraints: [],
  update: updateDefaults,
  healthyTimeoutMs: null,
  drainTimeoutMs: 30_000,
  routing: null,
  probe: null,
  releaseCommand: null,
  keepImages: 3,
  sources: null,
  cache: null
}

const isServiceKey = (key: string): key is keyof typeof readers => Object.hasOwn(readers, key)

/** @returns undefined when problems were noted */
export const readService = (cursor: Cursor, context: ServiceContext): ServiceSpec | undefined => {
  if (cursor.node.kind !== 'map') {
    complain(cursor, 'a service is a map of keys', 'wrong-type')
    return undefined
  }
  const children = childrenOf(cursor)
  const patch = readKeys(cursor, children, context)
  if (patch.image === undefined) complain(cursor, 'a service needs an image', 'missing-key')
  patch.environment = readEnvironment(
    children.get('environment'),
    children.get('env_file'),
    context.environment
  )
  const update = patch.update ?? updateDefaults
  if (update.order === 'start-first') patch.routing = routingDefaults
  const longshore = children.get('x-longshore')
  if (longshore !== undefined) {
    Object.assign(patch, readLongshore(longshore, patch.ports ?? [], update))
  }
  const spec = { ...defaults, image: { repository: '-', tag: null, digest: null }, ...patch }
  checkTogether(cursor, children, spec)
  return cursor.problems.isEmpty ? checkLimits(cursor, spec) : undefined
}

const readKeys = (cursor: Cursor, children: Map<string, Cursor>, context: ServiceContext): Patch => {
  const patch: Patch = {}
  for (const [key, child] of children) {
    if (composeOnlyKeys.some((one) => one === key)) context.note(`${key} is used by docker compose only`)
    else if (!isServiceKey(key)) {
      if (!key.startsWith('x-')) refuseKey(cursor, key, child.path, serviceKeys, refusedKeys)
    } else if (!isNull(child)) mergePatch(cursor, child, patch, (readers[key] as KeyReader)(child, context))
  }
  return patch
}

/** Two keys may say the same thing (`mem_limit`, `deploy.resources.limits.memory`), but not differently. */
const mergePatch = (service: Cursor, child: Cursor, patch: Patch, next: Patch): void => {
  for (const [field, value] of Object.entries(next)) {
    const before = (patch as Record<string, unknown>)[field]
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(value)) {
      service.problems.add(
        'conflict',
        child.node.at,
        child.path,
        `${field} is set twice, to different values`
      )
    }
  }
  Object.assign(patch, next)
}

/** The schema has the last word on lengths and counts. */
const checkLimits = (cursor: Cursor, spec: ServiceSpec): ServiceSpec | undefined => {
  const checked = serviceSpec.safeParse(spec)
  if (checked.success) return checked.data
  for (const issue of checked.error.issues) {
    complain(cursor, `${issue.path.join('.')}: ${issue.message}`)
  }
  return undefined
}
