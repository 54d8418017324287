// What a service is once its Compose file has been read, merged, interpolated and checked: plain data with
// every default filled in and every unit fixed. This is what a spec revision stores and what travels inside
// signed commands; nothing here is Compose syntax any more. The reader is `./index.ts`.
import * as z from 'zod'
import { digest } from '../ids.ts'
import { imageSources } from '../image-source.ts'
import { maxReplicas } from '../limits.ts'

const text = z.string().max(8192)
const bytes = z.int().min(0)
const ms = z.int().min(0)
const port = z.int().min(1).max(65_535)
const strings = z.array(text).max(500)
const map = z.record(z.string().max(512), text)

export const imageReference = z.strictObject({
  /** With registry host where it has one, as written: `localhost:5000/web`, `library/nginx` stays `nginx`. */
  repository: z.string().min(1).max(512),
  tag: z.string().max(128).nullable(),
  digest: digest.nullable()
})
export type ImageReference = z.infer<typeof imageReference>

export const portSpec = z.strictObject({
  target: port,
  /** null: Docker picks a free port. */
  published: port.nullable(),
  hostIp: z.string().max(64).nullable(),
  protocol: z.enum(['tcp', 'udp'])
})
export type PortSpec = z.infer<typeof portSpec>

export const volumeSpec = z.strictObject({
  type: z.enum(['bind', 'volume', 'tmpfs']),
  /** Absolute host path, volume name, or null for an anonymous volume and for tmpfs. */
  source: text.nullable(),
  target: text,
  isReadOnly: z.boolean(),
  createHostPath: z.boolean().optional(),
  propagation: z.enum(['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']).optional(),
  selinux: z.enum(['z', 'Z']).optional(),
  noCopy: z.boolean().optional(),
  tmpfsSizeBytes: bytes.optional(),
  tmpfsMode: z.int().optional()
})
export type VolumeSpec = z.infer<typeof volumeSpec>

export const healthcheckSpec = z.strictObject({
  /** Docker's form: `['CMD', ...]`, `['CMD-SHELL', text]`, `['NONE']`; null: the image's own test. */
  test: strings.nullable(),
  intervalMs: ms.optional(),
  timeoutMs: ms.optional(),
  retries: z.int().min(0).optional(),
  startPeriodMs: ms.optional(),
  startIntervalMs: ms.optional()
})
export type HealthcheckSpec = z.infer<typeof healthcheckSpec>

/** The agent's own check, from the host, of the port inside the container. */
export const probeSpec = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('http'),
    port,
    path: text,
    /** Accepted status codes, both ends included. */
    status: z.strictObject({ from: z.int().min(100).max(599), to: z.int().min(100).max(599) }),
    intervalMs: ms,
    timeoutMs: ms
  }),
  z.strictObject({ type: z.literal('tcp'), port, intervalMs: ms, timeoutMs: ms })
])
export type ProbeSpec = z.infer<typeof probeSpec>

/** A count, or a share of the targets in percent. */
export const amount = z.union([
  z.strictObject({ unit: z.literal('count'), value: z.int().min(0) }),
  z.strictObject({ unit: z.literal('percent'), value: z.number().min(0).max(100) })
])
export type Amount = z.infer<typeof amount>

export const updateSpec = z.strictObject({
  /** Targets of the first batch; null: none before the others. A spec stored before this key existed has none. */
  canary: amount.nullable().default(null),
  /** Targets that switch together; count 0 means all. */
  parallelism: amount,
  delayMs: ms,
  /** How long a target must stay healthy after it became so. */
  monitorMs: ms,
  order: z.enum(['stop-first', 'start-first']),
  failureAction: z.enum(['rollback', 'pause']),
  maxFailureRatio: z.number().min(0).max(1),
  /**
   * By how much the share of failed requests of a canary's new containers may exceed that of the old ones beside them;
   * null: not compared. A spec stored before this key existed has none.
   */
  canaryMaxErrorRatio: z.number().min(0).max(1).nullable().default(null)
})
export type UpdateSpec = z.infer<typeof updateSpec>

/** What runs once per deployment, on one host, before the first container is stopped. */
export const releaseCommandSpec = z.strictObject({
  /** In place of `command`; the entrypoint stays. */
  command: z.array(text).min(1).max(500),
  timeoutMs: z.int().min(1)
})
export type ReleaseCommandSpec = z.infer<typeof releaseCommandSpec>

/** How HAProxy on the host brings traffic to a `start-first` service. */
export const routingSpec = z.strictObject({
  mode: z.enum(['http', 'tcp']),
  /** Names in the Host header that go to this service, in lower case; empty: every request of its ports. */
  hosts: z.array(z.string().min(1).max(253)).max(100),
  /** Files on the host, PEM; `key` null: in the file of the certificate. Empty: no TLS. */
  tls: z.array(z.strictObject({ certificate: text, key: text.nullable() })).max(20),
  /** Tells the container the client's address by the PROXY protocol, version 2. */
  hasProxyProtocol: z.boolean(),
  /** Connections to the containers are used again: for many requests a second, of apps that keep idle ones open long. */
  isPooled: z.boolean(),
  /** What becomes of former containers without traffic until `monitor` has passed. */
  keep: z.enum(['running', 'stopped'])
})
export type RoutingSpec = z.infer<typeof routingSpec>

/** `node.labels.KEY == VALUE` or `!=`. */
export const constraint = z.strictObject({
  label: z.string().min(1).max(63),
  operator: z.enum(['==', '!=']),
  value: z.string().max(255)
})
export type Constraint = z.infer<typeof constraint>

export const serviceSpec = z.strictObject({
  image: imageReference,
  command: strings.nullable(),
  entrypoint: strings.nullable(),
  environment: map,
  ports: z.array(portSpec).max(500),
  expose: strings,
  volumes: z.array(volumeSpec).max(200),
  /** Path -> mount options, '' for none. */
  tmpfs: map,
  restart: z.strictObject({
    name: z.enum(['no', 'always', 'on-failure', 'unless-stopped']),
    maxRetries: z.int().min(0)
  }),
  logging: z.strictObject({ driver: text, options: map }).nullable(),
  healthcheck: healthcheckSpec.nullable(),
  labels: map,
  annotations: map,
  user: text.nullable(),
  groupAdd: strings,
  workingDir: text.nullable(),
  hostname: text.nullable(),
  domainName: text.nullable().optional(),
  /** `name:address` */
  extraHosts: strings,
  dns: strings,
  dnsSearch: strings,
  dnsOptions: strings,
  /** Bridge networks by name, with the aliases there. Empty: Docker's default bridge. */
  networks: z.array(z.strictObject({ name: text, aliases: strings })).max(20),
  networkMode: text.nullable(),
  pid: text.nullable(),
  ipc: text.nullable(),
  capAdd: strings,
  capDrop: strings,
  isReadOnly: z.boolean(),
  securityOpt: strings,
  usernsMode: text.nullable(),
  /** null: the engine's default. */
  init: z.boolean().nullable(),
  tty: z.boolean(),
  stdinOpen: z.boolean(),
  ulimits: z.record(z.string().max(64), z.strictObject({ soft: z.int(), hard: z.int() })),
  shmSizeBytes: bytes.nullable(),
  sysctls: map,
  memoryLimitBytes: bytes.nullable(),
  memoryReservationBytes: bytes.nullable(),
  /** -1: unlimited swap. */
  memorySwapLimitBytes: z.int().min(-1).nullable(),
  oomScoreAdj: z.int().min(-1000).max(1000).nullable(),
  /** Docker's NanoCpus: 1e9 is one core. */
  nanoCpus: z.int().min(0).nullable(),
  pidsLimit: z.int().min(-1).nullable(),
  cgroupParent: text.nullable(),
  runtime: text.nullable(),
  stopSignal: text.nullable(),
  stopGracePeriodMs: ms,
  devices: z.array(z.strictObject({ source: text, target: text, permissions: z.string().max(3) })).max(100),
  /** `all`, a count, or the ids; null: none. */
  gpus: z.union([z.literal('all'), z.int().min(1), strings]).nullable(),
  isPrivileged: z.boolean(),
  pullPolicy: z.enum(['always', 'missing', 'never']),
  platform: text.nullable(),
  containerName: text.nullable(),
  replicas: z.int().min(0).max(maxReplicas),
  constraints: z.array(constraint).max(50),
  update: updateSpec,
  /** null: computed from the health check, see deployment docs. */
  healthyTimeoutMs: ms.nullable(),
  drainTimeoutMs: ms,
  /** null: Docker publishes the ports itself, as with `stop-first`. A spec stored before this key existed has none. */
  routing: routingSpec.nullable().default(null),
  probe: probeSpec.nullable(),
  /** A spec stored before this key existed has none. */
  releaseCommand: releaseCommandSpec.nullable().default(null),
  /** Previous images kept on a host beside the current one. */
  keepImages: z.int().min(0).max(100),
  /** Where the image may come from, in order; null: as the environment says. A spec stored before this key existed has none. */
  sources: imageSources.nullable().default(null),
  /** The controller fetches the image for all hosts; null: it does not. A spec stored before this key existed has none. */
  cache: z.boolean().nullable().default(null)
})
export type ServiceSpec = z.infer<typeof serviceSpec>
