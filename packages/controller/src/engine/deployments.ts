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
import type { DeploymentView, DeployRequest, ReleaseView, StatusView } from '../api/schemas.ts'
import type { Actor, AgentLink, Clock, CommandSigner, Log, Publisher, Random, Store } from '../ports.ts'
import type { Writer } from './writer.ts'

/** Times that the operator of the controller may choose. Milliseconds. */
export type DeploymentSettings = {
  /** A host whose session has been gone for this long is lost. */
  lostAfterMs: number
  /** An unanswered command is sent again after this. */
  commandResendMs: number
}
export const defaultDeploymentSettings: DeploymentSettings = { lostAfterMs: 60_000, commandResendMs: 10_000 }

export type DeploymentsPorts = {
  store: Store
  writer: Writer
  clock: Clock
  random: Random
  link: AgentLink
  signer: CommandSigner
  publisher: Publisher
  settings: DeploymentSettings
  log: Log
}

export type ServiceFilter = { environment?: string; service?: string }

export type Deployments = {
  /** Resolves once the deployment is stored and locked; it then goes on by itself. Throws ApiError. */
  request(actor: Actor, request: DeployRequest): Promise<DeploymentView>
  /** Resolves once the wish is stored. Throws ApiError `unknown-deployment`, `already-ended`. */
  cancel(actor: Actor, id: string): Promise<DeploymentView>
  /** Throws ApiError `unknown-deployment`. */
  view(id: string): Promise<DeploymentView>
  list(filter: ServiceFilter & { limit?: number }): Promise<DeploymentView[]>
  releases(filter: ServiceFilter & { limit?: number }): Promise<ReleaseView[]>
  status(filter: ServiceFilter): Promise<StatusView[]>
  /** After `hello` of a session that counts: raises counters, sends what is owed. The agent's row exists. */
  agentConnected(agent: AgentId, hello: HelloMessage): Promise<void>
  agentDisconnected(agent: AgentId): Promise<void>
  /** The latest inventory, kept in memory for `status`. */
  observed(agent: AgentId, inventory: Inventory): void
  accepted(agent: AgentId, command: CommandId): Promise<void>
  refused(agent: AgentId, message: RefusedMessage): Promise<void>
  /** Kept in memory only. */
  progress(agent: AgentId, message: ProgressMessage): void
  /** Resolves when the report and what follows from it are durable: then it may be acknowledged. */
  reported(agent: AgentId, report: RunReport): Promise<void>
  /** Takes up every deployment that has not ended. Call it before the first agent is let in. */
  start(): Promise<void>
  /** No timer and no change of this object is left when it resolves; the deployments stay in the store. */
  stop(): Promise<void>
}

export const createDeployments = (_ports: DeploymentsPorts): Deployments => {
  throw new Error('createDeployments is being built')
}
