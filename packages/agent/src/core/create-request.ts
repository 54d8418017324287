// Spec + pinned image -> body of Docker's `POST /containers/create` (Engine API 1.41 to 1.47). Describes only:
// sending it, making networks and starting the container are left to the executor.
// Source: https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerCreate
import type { PortSpec, ServiceSpec } from '@longshore/protocol'
import { healthConfigOf } from './health-config.ts'
import { mountsOf } from './mount-config.ts'

export type CreateInput = {
  readonly spec: ServiceSpec
  /** Names content, not a tag: `repository@sha256:...`, or the id that the engine has for it. */
  readonly image: string
  readonly name: string
  /** Labels of ours; they win over those of the spec. */
  readonly labels: Readonly<Record<string, string>>
  /** Minor number of the Engine API that is spoken: 41 for 1.41. */
  readonly apiMinor: number
  /** Policy given at creation; a container that is started later, by us, is made with `no`. */
  readonly restart?: ServiceSpec['restart']
  /** Before the spec's networks, and in place of published ports: the agent's own network, with an address there. */
  readonly ownNetwork?: { readonly name: string; readonly ipv4Address: string }
}

export type Endpoint = {
  readonly Aliases?: readonly string[]
  readonly IPAMConfig?: { readonly IPv4Address: string }
}

/** Plain JSON, with Docker's own names. */
export type CreateBody = {
  readonly [key: string]: unknown
  readonly Image: string
  readonly HostConfig: object
}

export type CreateRequest = {
  /** Query parameters beside the body. */
  readonly name: string
  readonly platform: string | null
  readonly body: CreateBody
  /** Networks to connect after creation and before the start: API 1.41 creates with one only. */
  readonly furtherNetworks: readonly { readonly name: string; readonly endpoint: Endpoint }[]
  /** What the spec asks and this engine's API cannot do; non-empty means that the host is not ready. */
  readonly unsupported: readonly string[]
}

export const buildCreateRequest = (input: CreateInput): CreateRequest => {
  const { spec, image, name, labels, apiMinor } = input
  const networks = networksOf(input)
  const [first, ...further] = networks
  return {
    name,
    platform: spec.platform,
    body: {
      Image: image,
      ...processOf(spec),
      Env: Object.entries(spec.environment).map(([key, value]) => `${key}=${value}`),
      Labels: { ...spec.labels, ...labels },
      ExposedPorts: exposedPortsOf(spec),
      ...(spec.healthcheck && { Healthcheck: healthConfigOf(spec.healthcheck, apiMinor) }),
      HostConfig: hostConfigOf(input, first?.name),
      ...(first && { NetworkingConfig: { EndpointsConfig: { [first.name]: first.endpoint } } })
    },
    furtherNetworks: further,
    unsupported: unsupportedBy(spec, apiMinor)
  }
}

const processOf = (spec: ServiceSpec): object => ({
  ...(spec.command && { Cmd: spec.command }),
  ...(spec.entrypoint && { Entrypoint: spec.entrypoint }),
  ...(spec.user !== null && { User: spec.user }),
  ...(spec.workingDir !== null && { WorkingDir: spec.workingDir }),
  ...(spec.hostname !== null && { Hostname: spec.hostname }),
  ...(spec.domainName != null && { Domainname: spec.domainName }),
  Tty: spec.tty,
  OpenStdin: spec.stdinOpen,
  ...(spec.stopSignal !== null && { StopSignal: spec.stopSignal }),
  // Docker counts whole seconds; rounding up never shortens the grace that was asked for.
  StopTimeout: Math.ceil(spec.stopGracePeriodMs / 1000)
})

const portKey = (port: PortSpec): string => `${String(port.target)}/${port.protocol}`

const exposedPortsOf = (spec: ServiceSpec): Record<string, object> =>
  Object.fromEntries([...spec.expose, ...spec.ports.map(portKey)].map((key) => [key, {}]))

const portBindingsOf = (ports: readonly PortSpec[]): Record<string, object[]> => {
  const bindings: Record<string, object[]> = {}
  for (const port of ports) {
    const binding = {
      HostIp: port.hostIp ?? '',
      HostPort: port.published === null ? '' : String(port.published)
    }
    bindings[portKey(port)] = [...(bindings[portKey(port)] ?? []), binding]
  }
  return bindings
}

const networksOf = ({ spec, ownNetwork }: CreateInput): { name: string; endpoint: Endpoint }[] => {
  const asked = spec.networks.map(({ name, aliases }) => ({
    name,
    endpoint: aliases.length > 0 ? { Aliases: aliases } : {}
  }))
  if (ownNetwork === undefined) return asked
  const { name, ipv4Address } = ownNetwork
  const others = asked.filter((one) => one.name !== name)
  return [{ name, endpoint: { IPAMConfig: { IPv4Address: ipv4Address } } }, ...others]
}

const hostConfigOf = (input: CreateInput, network: string | undefined): object => {
  const { spec, apiMinor, ownNetwork } = input
  const restart = input.restart ?? spec.restart
  return {
    PortBindings: ownNetwork === undefined ? portBindingsOf(spec.ports) : {},
    RestartPolicy: { Name: restart.name, MaximumRetryCount: restart.maxRetries },
    NetworkMode: network ?? spec.networkMode ?? 'bridge',
    ...(spec.logging && { LogConfig: { Type: spec.logging.driver, Config: spec.logging.options } }),
    ...mountsOf(spec),
    ...isolationOf(spec),
    ...resourcesOf(spec),
    ...namesOf(spec),
    ...(hasEntries(spec.annotations) && apiMinor >= 43 && { Annotations: spec.annotations })
  }
}

const hasEntries = (map: object): boolean => Object.keys(map).length > 0

const namesOf = (spec: ServiceSpec): object => ({
  ...(spec.extraHosts.length > 0 && { ExtraHosts: spec.extraHosts }),
  ...(spec.dns.length > 0 && { Dns: spec.dns }),
  ...(spec.dnsSearch.length > 0 && { DnsSearch: spec.dnsSearch }),
  ...(spec.dnsOptions.length > 0 && { DnsOptions: spec.dnsOptions })
})

const isolationOf = (spec: ServiceSpec): object => ({
  Privileged: spec.isPrivileged,
  ReadonlyRootfs: spec.isReadOnly,
  ...(spec.capAdd.length > 0 && { CapAdd: spec.capAdd }),
  ...(spec.capDrop.length > 0 && { CapDrop: spec.capDrop }),
  ...(spec.securityOpt.length > 0 && { SecurityOpt: spec.securityOpt }),
  ...(spec.groupAdd.length > 0 && { GroupAdd: spec.groupAdd }),
  ...(spec.usernsMode !== null && { UsernsMode: spec.usernsMode }),
  ...(spec.pid !== null && { PidMode: spec.pid }),
  ...(spec.ipc !== null && { IpcMode: spec.ipc }),
  ...(spec.runtime !== null && { Runtime: spec.runtime }),
  ...(spec.init !== null && { Init: spec.init })
})

const resourcesOf = (spec: ServiceSpec): object => ({
  ...(spec.memoryLimitBytes !== null && { Memory: spec.memoryLimitBytes }),
  ...(spec.memoryReservationBytes !== null && { MemoryReservation: spec.memoryReservationBytes }),
  ...(spec.memorySwapLimitBytes !== null && { MemorySwap: spec.memorySwapLimitBytes }),
  ...(spec.nanoCpus !== null && { NanoCpus: spec.nanoCpus }),
  ...(spec.pidsLimit !== null && { PidsLimit: spec.pidsLimit }),
  ...(spec.oomScoreAdj !== null && { OomScoreAdj: spec.oomScoreAdj }),
  ...(spec.shmSizeBytes !== null && { ShmSize: spec.shmSizeBytes }),
  ...(spec.cgroupParent !== null && { CgroupParent: spec.cgroupParent }),
  ...(hasEntries(spec.sysctls) && { Sysctls: spec.sysctls }),
  ...(hasEntries(spec.ulimits) && {
    Ulimits: Object.entries(spec.ulimits).map(([Name, { soft, hard }]) => ({ Name, Soft: soft, Hard: hard }))
  }),
  ...(spec.devices.length > 0 && {
    Devices: spec.devices.map(({ source, target, permissions }) => ({
      PathOnHost: source,
      PathInContainer: target,
      CgroupPermissions: permissions
    }))
  }),
  ...(spec.gpus !== null && { DeviceRequests: [deviceRequestOf(spec.gpus)] })
})

/** Count -1 means all; count and ids exclude each other. */
const deviceRequestOf = (gpus: NonNullable<ServiceSpec['gpus']>): object =>
  Array.isArray(gpus)
    ? { Driver: 'nvidia', DeviceIDs: gpus, Capabilities: [['gpu']] }
    : { Driver: 'nvidia', Count: gpus === 'all' ? -1 : gpus, Capabilities: [['gpu']] }

/** Older engines ignore fields that they do not know: leaving them out silently would be untrue. */
const unsupportedBy = (spec: ServiceSpec, apiMinor: number): string[] => [
  ...(hasEntries(spec.annotations) && apiMinor < 43 ? ['annotations need Engine API 1.43'] : []),
  ...(spec.healthcheck?.startIntervalMs !== undefined && apiMinor < 44
    ? ['healthcheck.start_interval needs Engine API 1.44']
    : [])
]
