// Deployments as the rest of the controller sees them: asked for, cancelled, looked at, and fed with what the
// agents say. Decisions are left to core/deployment, delivery to core/delivery.
import type {
  AgentId,
  CommandId,
  HelloMessage,
  Inventory,
  ProgressMessage,
  RefusedMessage,
  RunReport
} from '@longshore/protocol'
import type { DeploymentView, DeployRequest, HostImages, ReleaseView, StatusView } from '../api/schemas.ts'
import type { RowScope } from '../core/access/readable-rows.ts'
import type { DeploymentEvent } from '../core/deployment/events.ts'
import { wishesOf } from '../core/requests/wishes.ts'
import type {
  Actor,
  AgentLink,
  Artifacts,
  Clock,
  CommandSigner,
  Log,
  Publisher,
  Random,
  Store,
  Tx
} from '../ports.ts'
import { type Accepted, acceptRequest } from './accept-request.ts'
import { beginConvergence, type Convergence } from './begin-convergence.ts'
import type { BeginPorts } from './begin-deployment.ts'
import { createMetrics, type Metrics } from './collect-metrics.ts'
import { createConverger } from './converge.ts'
import { createDriver, type Driver } from './drive-deployments.ts'
import { createImageFetches } from './fetch-images.ts'
import { findArtifacts } from './find-artifacts.ts'
import { createAgentHearing } from './hear-agents.ts'
import { createHostMemory } from './host-knowledge.ts'
import type { Lease } from './lease.ts'
import { listImages } from './list-images.ts'
import { listReleases } from './list-releases.ts'
import { listStatus } from './list-status.ts'
import type { Meters } from './meters.ts'
import { createOutbox } from './outbox.ts'
import { createOwnership } from './own-deployments.ts'
import type { Committed } from './persist-step.ts'
import type { RegistryCredentials } from './registry-credentials.ts'
import { refuseDeployment, requireDeployment } from './require-named.ts'
import { createRunningDeployments } from './running-deployments.ts'
import { createServedSources } from './served-sources.ts'
import { cancelDeployment, resumeDeployment } from './steer-deployment.ts'
import { createTrafficCounts } from './traffic-counts.ts'
import type { Writer } from './writer.ts'

/** Times that the operator of the controller may choose. Milliseconds. */
export type DeploymentSettings = {
  /** A host whose session has been gone for this long is lost. */
  lostAfterMs: number
  /** An unanswered command is sent again after this. */
  commandResendMs: number
  /** A pause that nobody decides on ends by itself after this. */
  pauseLimitMs: number
}
export const defaultDeploymentSettings: DeploymentSettings = {
  lostAfterMs: 60_000,
  commandResendMs: 10_000,
  pauseLimitMs: 3_600_000
}
export type DeploymentsPorts = {
  store: Store
  /** Asks the lease first. */
  writer: Writer
  lease: Lease
  clock: Clock
  /** Never jumps, whatever the time of day does. */
  steadyClock: Clock
  random: Random
  link: AgentLink
  credentials: Pick<RegistryCredentials, 'forCommand'>
  signer: CommandSigner
  artifacts: Artifacts
  publisher: Publisher
  meters: Meters
  settings: DeploymentSettings
  log: Log
}

export type ServiceFilter = { environment?: string; service?: string }
export type ListFilter = ServiceFilter & { limit?: number; readable?: readonly RowScope[] }

export type Deployments = {
  /** Resolves once the deployment is stored and locked; it then goes on by itself. Throws ApiError. */
  request(actor: Actor, request: DeployRequest): Promise<DeploymentView>
  /**
   * Brings one host to the current release, unless a deployment holds the service.
   * @returns undefined when nothing was begun
   */
  converge(wish: Convergence): Promise<DeploymentView | undefined>
  /** Resolves once the wish is stored. Throws ApiError `unknown-deployment`, `already-ended`. */
  cancel(actor: Actor, id: string): Promise<DeploymentView>
  /** Resolves once the wish is stored. Throws ApiError `unknown-deployment`, `already-ended`, `not-paused`. */
  resume(actor: Actor, id: string): Promise<DeploymentView>
  /**
   * @param isVisible who asks may see it; what is not visible is refused like what does not exist
   * @throws ApiError `unknown-deployment`
   */
  view(id: string, isVisible?: (view: DeploymentView) => boolean): Promise<DeploymentView>
  /** `readable`: see core/access/readable-rows.ts. */
  list(filter: ListFilter & { isEnded?: boolean }): Promise<DeploymentView[]>
  releases(filter: ListFilter): Promise<ReleaseView[]>
  status(filter: ServiceFilter): Promise<StatusView[]>
  /** What hosts hold, as they said last. */
  images(filter: ServiceFilter): Promise<HostImages[]>
  metrics: Metrics
  /** After `hello` of a session that counts: raises counters, sends what is owed. The agent's row exists. */
  agentConnected(agent: AgentId, hello: HelloMessage): Promise<void>
  agentDisconnected(agent: AgentId): Promise<void>
  /** After an agent was revoked, replaced or removed: nothing waits for it, and it is owed nothing. Never throws. */
  agentGone(agent: AgentId): Promise<void>
  /** The latest inventory, kept in memory for `status`. */
  observed(agent: AgentId, inventory: Inventory): void
  accepted(agent: AgentId, command: CommandId): Promise<void>
  refused(agent: AgentId, message: RefusedMessage): Promise<void>
  /** Kept in memory only. */
  progress(agent: AgentId, message: ProgressMessage): void
  /** Resolves when the report and what follows from it are durable: then it may be acknowledged. */
  /** @param receipt the report as the agent signed it */
  reported(agent: AgentId, report: RunReport, receipt: string): Promise<void>
  /** Its settings are others than before. */
  environmentChanged(environment: string): void
  /** Takes up every deployment that has not ended. Call it before the first agent is let in. */
  start(): Promise<void>
  /** No timer and no change of this object is left when it resolves; the deployments stay in the store. */
  stop(): Promise<void>
}

export const createDeployments = (given: DeploymentsPorts): Deployments => {
  const { store, clock, link, meters, log } = given
  const ownership = createOwnership(given, {
    shift: (tx, byMs) => tellAll(tx, inside, { kind: 'clockJumped', atMs: clock.nowMs(), byMs }),
    shifted: (committed) => {
      driver.follow(committed)
      outbox.clockJumped()
    }
  })
  const { writer } = ownership
  const ports = { ...given, writer }
  const outbox = createOutbox({ ...ports, refused: (agent, message) => hearing.refused(agent, message) })
  const fetches = createImageFetches({ ...ports, driver: () => driver })
  const running = createRunningDeployments(given.steadyClock)
  const driver: Driver = createDriver({
    ...ports,
    outbox,
    running,
    moved: fetches.moved,
    ended: (row) => converger.deploymentEnded(row)
  })
  const hearing = createAgentHearing({ writer, clock, link, driver, outbox, meters, log })
  const hosts = createHostMemory({ steadyClock: given.steadyClock, link })
  const counts = createTrafficCounts()
  const served = createServedSources()
  const inside: Omit<BeginPorts, 'artifacts'> = { ...ports, isConnected: hosts.isConnected, driver }

  const converger = createConverger({ ...ports, ...inside, hosts })

  const steer = async (
    actor: Actor,
    verb: 'cancel' | 'resume',
    id: string,
    change: typeof cancelDeployment
  ): Promise<DeploymentView> => {
    const note = { actor, action: `deployment.${verb}`, subject: id, request: {} }
    const work = (tx: Tx) => change(tx, inside, actor, id)
    const { row } = await writer.change(note, work, ({ committed }) => driver.follow([committed]))
    return driver.view(row)
  }

  return {
    request: async (actor, request) => {
      const services = wishesOf(request).map(({ service }) => service)
      const subject = `${request.environment}/${services.join(',')}`
      const note = { actor, action: 'deployment.request', subject, request }
      const artifacts = await findArtifacts(store, given.artifacts, request)
      const work = (tx: Tx) => acceptRequest(tx, { ...inside, artifacts }, actor, request)
      const outcomeOf = ({ row, isAttached }: Accepted) => (isAttached ? `attached:${row.id}` : 'ok')
      const done = await writer.change(note, work, ({ committed }) => driver.follow(committed), outcomeOf)
      return { ...driver.view(done.row), ...(done.isAttached && { attached: true }) }
    },
    converge: async (wish) => {
      const work = (tx: Tx) => beginConvergence(tx, inside, wish)
      const begun = await writer.step(work, (committed) => driver.follow([committed]))
      return begun && driver.view(begun.after)
    },
    cancel: (actor, id) => steer(actor, 'cancel', id, cancelDeployment),
    resume: (actor, id) => steer(actor, 'resume', id, resumeDeployment),
    view: async (id, isVisible = () => true) => {
      const view = driver.view(await requireDeployment(store, id))
      return isVisible(view) ? view : refuseDeployment(store, id)
    },
    list: async (filter) => (await store.deployments(filter)).map(driver.view),
    releases: (filter) => listReleases(store, filter),
    status: (filter) => listStatus(store, hosts, served, filter),
    images: (filter) => listImages(store, hosts, filter),
    metrics: createMetrics({ store, clock, hosts, counts, running, meters }),
    agentConnected: async (agent, hello) => {
      hosts.observed(agent, hello.inventory)
      counts.observed(agent, hello.inventory)
      await hearing.connected(agent, hello)
      converger.hostReturned(agent)
    },
    agentDisconnected: hearing.disconnected,
    agentGone: hearing.gone,
    observed: (agent, inventory) => {
      counts.observed(agent, inventory)
      if (hosts.observed(agent, inventory)) converger.hostChanged(agent)
    },
    accepted: hearing.accepted,
    refused: hearing.refused,
    progress: (agent, message) => {
      showProgress(store, driver, agent, message).catch((error: unknown) =>
        log.warn({ agent, err: error }, 'progress could not be shown')
      )
    },
    reported: async (agent, report, receipt) => {
      hosts.reported(agent)
      await hearing.reported(agent, report, receipt)
      converger.hostChanged(agent)
    },
    environmentChanged: converger.environmentChanged,
    start: async () => {
      await ownership.begin()
      await converger.start()
      const event = { kind: 'controllerRestarted', atMs: clock.nowMs() } as const
      await writer.step((tx) => tellAll(tx, inside, event), driver.follow)
      await hearing.goneMeanwhile()
    },
    stop: async () => {
      ownership.end()
      driver.stop()
      fetches.stop()
      hearing.stop()
      await converger.stop()
      await outbox.stop()
      await writer.idle()
    }
  }
}

const tellAll = async (
  tx: Tx,
  { driver }: Pick<BeginPorts, 'driver'>,
  event: DeploymentEvent
): Promise<(Committed | undefined)[]> => {
  const committed: (Committed | undefined)[] = []
  for (const id of await tx.activeDeployments()) committed.push(await driver.step(tx, id, event))
  return committed
}

const showProgress = async (
  store: Store,
  driver: Driver,
  agent: AgentId,
  message: ProgressMessage
): Promise<void> => {
  const command = await store.command(message.command)
  if (command === undefined || command.agent !== agent || command.state === 'ended') return
  const row = await store.deployment(command.deployment)
  if (row !== undefined) driver.progressed(row, command, message)
}
