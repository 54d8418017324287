// What a run sees of the host before it plans: every container of the engine, and which of them are ours.
// The shapes are plain data, so that plans, tests and the simulation share them; reading them from Docker is
// left to the adapter.
import type {
  AgentId,
  CommandId,
  ContainerState,
  DeploymentId,
  EnvironmentName,
  InstallationId,
  RoutingSpec,
  ServiceName,
  ServiceSpec
} from '@longshore/protocol'
import type { NetworkView } from './own-network.ts'
import type { RoutedPort, ServiceRoute } from './proxy/routes.ts'

/** Docker's restart policy; `maxRetries` counts for `on-failure` only. */
export type RestartPolicy = {
  name: 'no' | 'always' | 'on-failure' | 'unless-stopped'
  maxRetries: number
}

export const neverRestart: RestartPolicy = { name: 'no', maxRetries: 0 }

/** What a container of ours is for: to serve, to carry out one command, or to show beside others that it would serve. */
export type Purpose = 'serving' | 'once' | 'rehearsal'

/** How our containers are recognised, whatever their names are at the moment. */
export type Ownership = {
  installation: InstallationId
  agent: AgentId
  environment: EnvironmentName
  service: ServiceName
  release: number
  deployment: DeploymentId
  command: CommandId
  index: number
  specHash: string
  purpose: Purpose
  /** The policy that it serves under, also while it is kept without one; null: made by an agent that wrote none. */
  restart: RestartPolicy | null
  /**
   * The image that its release pins, `repository@sha256:...`, under whatever name the engine has it; null: made by an
   * agent that wrote none.
   */
  image: string | null
}

export type Health = 'none' | 'starting' | 'healthy' | 'unhealthy'

export type PublishedPort = { port: number; protocol: 'tcp' | 'udp'; hostIp: string | null }

export type SeenContainer = {
  id: string
  name: string
  state: ContainerState
  health: Health
  /** `repository@sha256:...` for ours; of strangers, as it was given at creation. */
  image: string
  createdAtMs: number
  restart: RestartPolicy
  /** null: not made by us. */
  owner: Ownership | null
  publishes: PublishedPort[]
  /** Its address on the agent's own network, also while it is stopped; null: it is not on it. */
  ownAddress: string | null
  /** The agent itself or its HAProxy: never taken over. */
  isOfAgent?: boolean
}

/** Docker's body of `POST /containers/create`, and the networks to connect before the first start. */
export type ContainerRequest = {
  /** Which of the platforms of a multi-platform image; absent: the engine's own. */
  platform?: string | null
  body: { [key: string]: unknown }
  joins: { network: string; endpoint: { [key: string]: unknown } }[]
}

/** What is needed to bring a release back although its containers are gone. Stands in the journal. */
export type ReleaseRecord = {
  environment: EnvironmentName
  service: ServiceName
  release: number
  containers: { index: number; request: ContainerRequest; restart: RestartPolicy }[]
  /** The fixed name that serving containers of this release carry; null: their own. */
  containerName: string | null
  rule: HealthRule
  graceMs: number
  /** The unmanaged container that this release took over; it serves again when the release is removed. */
  replaced: { id: string; name: string; restart: RestartPolicy } | null
  /** How HAProxy brings its traffic; null: Docker publishes its ports. A record of an older agent has none. */
  routed?: RoutedRelease | null
}

/** What HAProxy does for the containers of one release. */
export type RoutedRelease = { ports: RoutedPort[]; routing: RoutingSpec; drainTimeoutMs: number }

/** When a container counts as healthy; the image may add its own HEALTHCHECK. */
export type HealthRule = {
  probe: ServiceSpec['probe']
  /** null: computed from the container's health check. */
  timeoutMs: number | null
}

export type Observation = {
  containers: SeenContainer[]
  releases: ReleaseRecord[]
  /** Absent: neither the command nor a release of its service has to do with HAProxy. */
  traffic?: {
    /** What HAProxy is told to do for the service; null: nothing. */
    route: ServiceRoute | null
    network: NetworkView
  }
}

/** Whether the engine runs the container, or tries to again and again. */
export const isUp = (container: SeenContainer): boolean =>
  container.state === 'running' || container.state === 'restarting' || container.state === 'paused'

export type OwnContainer = SeenContainer & { owner: Ownership }
type OfService = Pick<Ownership, 'installation' | 'environment' | 'service'>

/** The containers of one service that this installation made to serve, newest first. */
export const ownContainers = (seen: readonly SeenContainer[], of: OfService): OwnContainer[] =>
  allContainers(seen, of).filter((one) => one.owner.purpose === 'serving')

/** Those that were made for a command or a rehearsal: never counted as serving. */
export const helperContainers = (seen: readonly SeenContainer[], of: OfService): OwnContainer[] =>
  allContainers(seen, of).filter((one) => one.owner.purpose !== 'serving')

const allContainers = (seen: readonly SeenContainer[], of: OfService): OwnContainer[] =>
  seen
    .filter((one): one is OwnContainer => isOwnedBy(one.owner, of))
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1))

const isOwnedBy = (owner: Ownership | null, of: OfService): boolean =>
  owner !== null &&
  owner.installation === of.installation &&
  owner.environment === of.environment &&
  owner.service === of.service
