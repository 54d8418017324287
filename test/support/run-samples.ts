// Commands and specs for tests of the agent's runs: valid, small, and the same at every call.
import {
  type Command,
  type CommandBody,
  command,
  type RoutingSpec,
  type ServiceSpec
} from '@longshore/protocol'
import type { BuildRequest } from '../../packages/agent/src/runs.ts'

const digits = '0123456789abcdefghijklmnopqrstuv'

/** `cmd_` and twenty characters made from the number. */
export const idFrom = (prefix: string, number: number): string => {
  let text = ''
  for (let rest = number; text.length < 20; rest = Math.floor(rest / 32)) text = `${digits[rest % 32]}${text}`
  return `${prefix}_${text}`
}

export const sampleDigest = `sha256:${'ab'.repeat(32)}`

export const sampleSpec = (change: Partial<ServiceSpec> = {}): ServiceSpec => ({
  image: { repository: 'registry.test/web', tag: 'v1', digest: null },
  command: null,
  entrypoint: null,
  environment: {},
  ports: [],
  expose: [],
  volumes: [],
  tmpfs: {},
  restart: { name: 'always', maxRetries: 0 },
  logging: null,
  healthcheck: null,
  labels: {},
  annotations: {},
  user: null,
  groupAdd: [],
  workingDir: null,
  hostname: null,
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
  stopGracePeriodMs: 2000,
  devices: [],
  gpus: null,
  isPrivileged: false,
  pullPolicy: 'missing',
  platform: null,
  containerName: null,
  replicas: 1,
  constraints: [],
  update: {
    canary: null,
    parallelism: { unit: 'count', value: 1 },
    delayMs: 0,
    monitorMs: 300,
    order: 'stop-first',
    failureAction: 'rollback',
    maxFailureRatio: 0,
    canaryMaxErrorRatio: null
  },
  healthyTimeoutMs: null,
  drainTimeoutMs: 30_000,
  routing: null,
  probe: null,
  releaseCommand: null,
  keepImages: 3,
  sources: null,
  cache: null,
  ...change
})

export const sampleRouting: RoutingSpec = {
  mode: 'http',
  hosts: [],
  tls: [],
  hasProxyProtocol: false,
  isPooled: false,
  keep: 'running'
}

/** One port, which HAProxy holds. */
export const startFirstSpec = (change: Partial<ServiceSpec> = {}): ServiceSpec =>
  sampleSpec({
    ports: [{ target: 8080, published: 80, hostIp: null, protocol: 'tcp' }],
    update: { ...sampleSpec().update, order: 'start-first' },
    routing: sampleRouting,
    ...change
  })

/** The number is the command's id, the deployment's id and the generation of its fence. */
export const sampleCommand = (number: number, body: unknown): Command =>
  command.parse({
    id: idFrom('cmd', number),
    installation: idFrom('ins', 1),
    agent: idFrom('agt', 1),
    environment: 'production',
    service: 'web',
    deployment: idFrom('dep', number),
    fence: { generation: number, epoch: 0, index: 0 },
    notAfterMs: 10_000_000,
    timeLimitMs: 120_000,
    body
  })

export const releaseBody = (
  release: number,
  spec: ServiceSpec,
  image = { repository: 'registry.test/web', tag: 'v1', digest: sampleDigest },
  more: { replace?: string | null; recreate?: boolean } = {}
): unknown => ({ kind: 'release', release, image, spec, replace: null, recreate: false, ...more })

export const stageBody = (...[release, spec, image]: Parameters<typeof releaseBody>): CommandBody => {
  const { recreate: _recreate, ...rest } = releaseBody(release, spec, image) as Record<string, unknown>
  return { ...rest, kind: 'stage' } as CommandBody
}

/** As much of a create request as these tests need: image and published ports. */
export const buildSampleRequest: BuildRequest = ({ spec, image, ownNetwork }) => ({
  body: {
    Image: image,
    ...(ownNetwork && { NetworkingConfig: { EndpointsConfig: { [ownNetwork.name]: {} } } }),
    ExposedPorts: Object.fromEntries(spec.ports.map((port) => [`${port.target}/${port.protocol}`, {}])),
    HostConfig: {
      PortBindings: Object.fromEntries(
        (ownNetwork ? [] : spec.ports).map((port) => [
          `${port.target}/${port.protocol}`,
          [{ HostPort: String(port.published) }]
        ])
      )
    }
  },
  joins: []
})
