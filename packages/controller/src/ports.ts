// What the controller's engine needs from the outside, as types: the store, the clock, the agents' link, the
// signer. Adapters implement them; main.ts puts them together. One transaction per engine step.
import type {
  AgentId,
  AuditEntry,
  Capability,
  CommandId,
  CommandKind,
  DeploymentId,
  Digest,
  DownMessage,
  EnvironmentName,
  Facts,
  Fence,
  ImageContent,
  ImageSource,
  InstallationId,
  Labels,
  NotificationId,
  PolicySummary,
  ServiceName,
  ServiceSpec,
  Thumbprint,
  TokenId,
  WebhookId,
  WrittenCommand
} from '@longshore/protocol'
import type { JWTVerifyGetKey } from 'jose'
import type {
  ClaimRule,
  DeployWhat,
  Mode,
  Notice,
  NoticeType,
  Outcome,
  Permission,
  Phase,
  StreamEvent,
  WebhookFormat
} from './api/schemas.ts'
import type { RowScope } from './core/access/readable-rows.ts'
import type { TriesSoFar } from './core/convergence/decide.ts'
import type { ImageReads, ImageWrites } from './image-ports.ts'

export type Clock = {
  /** Milliseconds since the epoch. */
  nowMs(): number
  /** Calls back once, at or after `atMs`; returns its own cancellation. */
  at(atMs: number, wake: () => void): () => void
}
export type Random = { bytes(count: number): Uint8Array }
/** What pino offers, as far as it is used: fields first, then one sentence. */
export type Log = {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** Who asks for a change. `id` is what the audit keeps. */
export type Actor = {
  kind: 'api-token' | 'id-token' | 'agent' | 'controller' | 'operator'
  id: string
  name: string
  address: string
}

/** To the connected agents; never waits, never throws. */
export type AgentLink = {
  isConnected(agent: AgentId): boolean
  /** What the agent of the session says that it can do; none without a session. */
  capabilitiesOf(agent: AgentId): readonly string[]
  /** false: not connected, or too much is waiting for it already. */
  send(agent: AgentId, messages: DownMessage[]): boolean
  /** Ends the session with `bye`. */
  close(agent: AgentId, reason: 'revoked' | 'replaced' | 'reconnect', detail: string): void
}
export type CommandSigner = { sign(command: WrittenCommand): Promise<string> }
/** Keeps secrets that have to be read again; whoever has only the database cannot. */
export type Sealer = { seal(secret: string): Promise<string>; open(sealed: string): Promise<string> }
/** With what somebody logs in to a registry; the user name `<token>` says that the password is an identity token. */
export type Login = { username: string; password: string }
/** A program on the controller's machine that knows credentials. */
export type CredentialHelper = {
  /** @param server as helpers name it. Rejects with HelperError, in bounded time. */
  get(program: string, server: string): Promise<Login>
}
/** Why a credential helper gave none, for people, without anything that it wrote. */
export class HelperError extends Error {
  override readonly name = 'HelperError'
}
/** Public keys of an issuer of ID tokens, found by discovery and kept for a while. */
export type IssuerKeys = {
  /** @returns what finds the key of a token; it rejects with IssuerUnavailable, or as jose does when there is none */
  of(issuer: string): JWTVerifyGetKey
  /**
   * Asks again, unless that was done lately: an issuer may have put a new key in the place of one with the same name.
   * @returns whether it was asked. Rejects with IssuerUnavailable.
   */
  renew(issuer: string): Promise<boolean>
}
/** An issuer does not say which keys are its own; for people, without what it answered. */
export class IssuerUnavailable extends Error {
  override readonly name = 'IssuerUnavailable'
}
/** The controller as a client of an issuer with which people sign in. */
export type SignInClient = {
  /** Of the issuer. */
  url: string
  clientId: string
  clientSecret: string
  scopes: readonly string[]
  /** Where the issuer sends the browser back to. */
  callback: string
}
/** What binds the answer to the one browser that asked: RFC 6749, OpenID Connect Core 1.0, RFC 7636. */
export type SignInChecks = { state: string; nonce: string; verifier: string }
/** Claims by their names, not checked for anything. */
export type Claims = { readonly [name: string]: unknown }
/** Code flow with PKCE. Both reject with IssuerUnavailable, and `exchange` with SignInRefused. */
export type SignInFlow = {
  /** Where the browser goes to. */
  addressFor(client: SignInClient, checks: SignInChecks): Promise<URL>
  /**
   * @param query as the browser brought it back
   * @returns an ID token whose signature nobody has checked, and what finds further claims of the same person
   */
  exchange(
    client: SignInClient,
    checks: SignInChecks,
    query: string
  ): Promise<{ idToken: string; furtherClaims(): Promise<Claims> }>
}
/** An issuer, or the check of its answer, lets somebody not in; for people. */
export class SignInRefused extends Error {
  override readonly name = 'SignInRefused'
}
/** `status` null: nobody answered. `detail`: one line about it, without the URL. */
export type Delivery = { status: number | null; detail: string }
/** One POST of a notification; never throws. */
export type WebhookSender = {
  send(
    to: { url: string; secret: string | null },
    message: { id: string; atMs: number; body: string },
    signal: AbortSignal
  ): Promise<Delivery>
}
/** An image of the controller's own store: what its tag or digest names, and per platform what that is. */
export type FoundArtifact = { digest: Digest; contents: ImageContent[] }
/** `places`: under which names it is asked for, in order; `platforms`: null for all of an index. */
export type ArtifactWanted = {
  repository: string
  digest: Digest
  places: readonly string[]
  platforms: readonly string[] | null
}
/** The controller's own image store, as far as deployments ask it. */
export type Artifacts = {
  /**
   * @param repository as an image is named; `reference`: a tag, or a digest
   * @returns undefined also when the store cannot say: then it is no source now. Never called inside a transaction.
   */
  findArtifact(repository: string, reference: string): Promise<FoundArtifact | undefined>
  /** The image is in the store when it resolves, fetched if it was not. Rejects with why each place did not give it. */
  fetchArtifact(wanted: ArtifactWanted): Promise<FoundArtifact>
  /**
   * What registries say that the image is made of, by the digests of its configurations; nothing is stored.
   * @returns none when no place says it, and at once for a while after one took too long; never rejects
   */
  configsOf(wanted: ArtifactWanted): Promise<Digest[]>
}
/** In-process publication of what was committed; listeners must not throw. */
export type Publisher = { publish(event: StreamEvent): void }

export type EnvironmentRow = {
  name: EnvironmentName
  createdAtMs: number
  /** Hosts that were changed by hand are repaired. */
  heal: boolean
  /** Images come from there by promotion only; null: from anywhere. */
  promotesFrom: EnvironmentName | null
  /** Where images come from, in order, for services that do not say; null: see core/requests/choose-sources.ts. */
  sources: ImageSource[] | null
}
export type AgentRow = {
  id: AgentId
  environment: EnvironmentName
  hostName: string
  thumbprint: Thumbprint
  publicJwk: Record<string, unknown>
  encryptionJwk: Record<string, unknown>
  labels: Labels
  state: 'active' | 'held' | 'revoked'
  stateReason: string | null
  joinToken: TokenId
  enrolledAtMs: number
  lastSeenAtMs: number | null
  /** Highest report number stored. */
  reportsUpTo: number
  agentVersion: string | null
  facts: Facts | null
  policy: PolicySummary | null
  clockSkewMs: number | null
}
export type JoinTokenRow = {
  id: TokenId
  environment: EnvironmentName
  labels: Labels
  replace: boolean
  usesMax: number | null
  usesCount: number
  createdAtMs: number
  expiresAtMs: number
  revokedAtMs: number | null
}
export type ApiTokenRow = {
  id: TokenId
  name: string
  allow: Permission[]
  createdAtMs: number
  expiresAtMs: number | null
  lastUsedAtMs: number | null
  revokedAtMs: number | null
}
/** Whose ID tokens are taken, and what they allow. */
export type IssuerRow = {
  name: string
  url: string
  audience: string
  maxAgeMs: number
  rules: ClaimRule[]
  /** null: nobody signs in at the page with it. `sealed`: the client secret, with where it may be sent to. */
  signIn: { clientId: string; sealed: string; scopes: string[]; pageUrl: string } | null
  setAtMs: number
  setBy: string
}
export type SpecRow = {
  service: ServiceName
  environment: EnvironmentName
  revision: number
  spec: ServiceSpec
  appliedAtMs: number
  appliedBy: string
}
export type ReleaseRow = {
  service: ServiceName
  environment: EnvironmentName
  number: number
  repository: string
  tag: string | null
  digest: Digest | null
  specRevision: number
  deployment: DeploymentId
  outcome: Outcome | null
  createdAtMs: number
  createdBy: string
  /** Of the request that made it. */
  build: string | null
}
/** `state` is the deployment machine's own state, as JSON; the other columns are for queries only. */
export type DeploymentRow = {
  id: DeploymentId
  mode: Mode
  /** The first of its services; all of them are in DeploymentServiceRow. */
  service: ServiceName
  environment: EnvironmentName
  what: DeployWhat
  phase: Phase
  outcome: Outcome | null
  release: number
  /** The fence's; orders the deployments of a service whatever the clock did. */
  generation: number
  requestedBy: string
  /** As given with the request. */
  requestReason: string | null
  /** Which build asked for it: an address or a name. */
  build: string | null
  /** The first deployment of the same idempotency key, when this one tries again. */
  attemptOf: DeploymentId | null
  requestedAtMs: number
  endedAtMs: number | null
  state: unknown
}
export type DeploymentServiceRow = {
  deployment: DeploymentId
  environment: EnvironmentName
  service: ServiceName
  release: number
  generation: number
}
/** What a service is to run in an environment, since which deployment. `release` null: it was removed. */
export type CurrentReleaseRow = {
  environment: EnvironmentName
  service: ServiceName
  release: number | null
  generation: number
  deployment: DeploymentId
  sinceMs: number
}
export type LockRow = {
  service: ServiceName
  environment: EnvironmentName
  deployment: DeploymentId
  holder: string
  /** As given with the request. */
  reason: string | null
  sinceMs: number
  /** The controller that works on it, and until when it must have renewed that. */
  owner: string
  leaseUntilMs: number
}
/** What was tried so far to bring one service on one host to what was decided. */
export type ConvergenceRow = TriesSoFar & {
  environment: EnvironmentName
  service: ServiceName
  agent: AgentId
}
/** Somebody wants no changes: of a service, or with null of the whole environment. */
export type FreezeRow = {
  environment: EnvironmentName
  service: ServiceName | null
  holder: string
  reason: string
  sinceMs: number
}
/** Which request an idempotency key stands for, see core/requests/decide-attempt.ts. */
export type IdempotencyKeyRow = {
  environment: EnvironmentName
  key: string
  request: string
  first: DeploymentId
  deployment: DeploymentId
  createdAtMs: number
}
/** The controller that may write deployments; there is one row. */
export type LeaseRow = { owner: string; epoch: number; leaseUntilMs: number }
export type OutboxRow = {
  command: CommandId
  agent: AgentId
  service: ServiceName
  deployment: DeploymentId
  kind: CommandKind
  /** What the agent has to be able to do for it. */
  needs: Capability[]
  fence: Fence
  jws: string
  notAfterMs: number
  /** owed: send until answered. accepted: journalled there, its report is awaited. ended: reported, refused or expired. */
  state: 'owed' | 'accepted' | 'ended'
  createdAtMs: number
  endedAtMs: number | null
}
export type CommandCount = {
  environment: EnvironmentName
  state: Exclude<OutboxRow['state'], 'ended'>
  count: number
  /** When the oldest of them was decided. */
  oldestAtMs: number
}
export type AuditRow = {
  atMs: number
  actorKind: Actor['kind']
  actorId: string
  actorName: string
  address: string
  /** Verb and object, `deployment.request`, `agent.revoke`, `command.stage`. */
  action: string
  subject: string
  /** Without secrets. */
  request: unknown
  outcome: string
  /** What an agent signed, as it came; null where nobody else vouches. */
  evidence: string | null
}
/** `before` and `after` are numbers of entries; words are compared whole, `action` up to its end or a `*`. */
export type AuditFilter = {
  limit: number
  after?: number | undefined
  before?: number | undefined
  who?: string | undefined
  action?: string | undefined
  subject?: string | undefined
  outcome?: string | undefined
  sinceMs?: number | undefined
  untilMs?: number | undefined
}
export type WebhookRow = {
  id: WebhookId
  name: string
  format: WebhookFormat
  /** What may be shown of the URL. */
  target: string
  /** URL and signing secret as JSON, sealed. */
  sealed: string
  environments: EnvironmentName[]
  events: NoticeType[]
  state: 'active' | 'disabled'
  reason: string | null
  createdAtMs: number
  createdBy: string
  lastTry: { atMs: number; isDelivered: boolean; detail: string } | null
}
/** How hosts log in to a registry. */
export type RegistryLoginRow = {
  /** As protocol/registry-name.ts has it. */
  host: string
  /** null: the helper says it. */
  username: string | null
  /** Host and password as JSON, sealed. null: the helper says it. */
  sealed: string | null
  /** The program that is asked; null: none is. */
  helper: string | null
  setAtMs: number
  setBy: string
}
/** What a webhook is owed. Delivered ones are gone. */
export type NotificationRow = {
  id: NotificationId
  webhook: WebhookId
  notice: Notice
  tries: number
  /** When it is due, or when it was given up. */
  nextAtMs: number
  state: 'waiting' | 'given-up'
  lastError: string | null
  createdAtMs: number
}
/** A host that was told to be lost and has not been back since. */
export type LostHostRow = { environment: EnvironmentName; host: string; sinceMs: number }
/** Counters per service and environment; they only grow. */
export type Counters = {
  generation: number
  release: number
  /** Highest generation that a host has seen and this store had not given: it is older than its hosts; 0: none. */
  heard: number
}

export type Reads = ImageReads & {
  environments(): Promise<EnvironmentRow[]>
  environment(name: string): Promise<EnvironmentRow | undefined>
  agents(filter?: { environment?: string }): Promise<AgentRow[]>
  agent(id: string): Promise<AgentRow | undefined>
  agentByThumbprint(thumbprint: string): Promise<AgentRow | undefined>
  joinTokens(): Promise<JoinTokenRow[]>
  joinToken(id: string): Promise<JoinTokenRow | undefined>
  apiTokens(): Promise<ApiTokenRow[]>
  apiToken(id: string): Promise<ApiTokenRow | undefined>
  issuers(): Promise<IssuerRow[]>
  /** Latest revision of every service, or one revision. */
  specs(filter?: { environment?: string; service?: string }): Promise<SpecRow[]>
  spec(environment: string, service: string, revision?: number): Promise<SpecRow | undefined>
  /** Newest first. `readable`: see core/access/readable-rows.ts. */
  releases(filter: {
    environment?: string
    service?: string
    limit?: number
    readable?: readonly RowScope[]
  }): Promise<ReleaseRow[]>
  release(environment: string, service: string, number: number): Promise<ReleaseRow | undefined>
  /** The last succeeded one; undefined also for a service that was removed. */
  currentRelease(environment: string, service: string): Promise<ReleaseRow | undefined>
  /** What each service is to run; none for those that never ran. */
  currentReleases(filter?: { environment?: string; service?: string }): Promise<CurrentReleaseRow[]>
  /** Newest first. `service`: among others too; `readable`: all of them. Plans are left out unless asked for. */
  deployments(filter: {
    environment?: string
    service?: string
    mode?: Mode
    outcome?: Outcome
    isEnded?: boolean
    limit?: number
    readable?: readonly RowScope[]
    withPlans?: boolean
  }): Promise<DeploymentRow[]>
  deployment(id: string): Promise<DeploymentRow | undefined>
  /** Ids of those in progress, plans too: without their states, which are large. */
  activeDeployments(): Promise<string[]>
  deploymentServices(id: string): Promise<DeploymentServiceRow[]>
  /** Stored events of the deployment machine, oldest first: replaying them gives `state`. */
  deploymentEvents(id: string): Promise<unknown[]>
  lease(): Promise<LeaseRow | undefined>
  lock(environment: string, service: string): Promise<LockRow | undefined>
  /** Of one environment, or all. */
  freezes(environment?: string): Promise<FreezeRow[]>
  idempotencyKey(environment: string, key: string): Promise<IdempotencyKeyRow | undefined>
  convergences(filter?: { environment?: string; service?: string; agent?: string }): Promise<ConvergenceRow[]>
  counters(environment: string, service: string): Promise<Counters>
  outbox(filter: { agent?: string; deployment?: string; isEnded?: boolean }): Promise<OutboxRow[]>
  command(id: string): Promise<OutboxRow | undefined>
  /** Those that have not ended, by the environment of their hosts; without their texts, which are large. */
  countCommands(): Promise<CommandCount[]>
  keyChain(): Promise<string[]>
  installation(): Promise<InstallationId | undefined>
  /** Newest first; with `after`, from there on in the order of their numbers. */
  audit(filter: AuditFilter): Promise<AuditEntry[]>
  webhooks(): Promise<WebhookRow[]>
  webhook(id: string): Promise<WebhookRow | undefined>
  /** What is due first comes first. */
  notifications(filter: {
    webhook?: string
    state?: NotificationRow['state']
    limit?: number
  }): Promise<NotificationRow[]>
  notification(id: string): Promise<NotificationRow | undefined>
  countNotifications(): Promise<{ webhook: string; state: NotificationRow['state']; count: number }[]>
  lostHosts(): Promise<LostHostRow[]>
  registryLogins(): Promise<RegistryLoginRow[]>
  registryLogin(host: string): Promise<RegistryLoginRow | undefined>
}
export type Writes = ImageWrites & {
  setInstallation(id: InstallationId): Promise<void>
  addKey(jws: string): Promise<void>
  /** Its settings are off. */
  insertEnvironment(row: Pick<EnvironmentRow, 'name' | 'createdAtMs'>): Promise<void>
  putEnvironment(row: EnvironmentRow): Promise<void>
  /** Refuses (StoreConflict) while agents or specs are in it. */
  deleteEnvironment(name: string): Promise<void>
  /** Whole rows; inserts or replaces by primary key. */
  putAgent(row: AgentRow): Promise<void>
  deleteAgent(id: string): Promise<void>
  putJoinToken(row: JoinTokenRow): Promise<void>
  putApiToken(row: ApiTokenRow): Promise<void>
  putIssuer(row: IssuerRow): Promise<void>
  deleteIssuer(name: string): Promise<void>
  insertSpec(row: SpecRow): Promise<void>
  putRelease(row: ReleaseRow): Promise<void>
  putDeployment(row: DeploymentRow): Promise<void>
  putDeploymentService(row: DeploymentServiceRow): Promise<void>
  putCurrentRelease(row: CurrentReleaseRow): Promise<void>
  appendDeploymentEvent(id: DeploymentId, event: unknown): Promise<void>
  /** Throws StoreConflict when the service is locked in the environment: a database constraint, not a look first. */
  insertLock(row: LockRow): Promise<void>
  putLease(row: LeaseRow): Promise<void>
  /** All locks are the owner's from now on; one whose deployment has ended or is gone is let go. */
  holdLocks(owner: string, leaseUntilMs: number): Promise<void>
  deleteLock(environment: string, service: string): Promise<void>
  putFreeze(row: FreezeRow): Promise<void>
  deleteFreeze(environment: string, service: string | null): Promise<void>
  putIdempotencyKey(row: IdempotencyKeyRow): Promise<void>
  putConvergence(row: ConvergenceRow): Promise<void>
  deleteConvergence(row: Pick<ConvergenceRow, 'environment' | 'service' | 'agent'>): Promise<void>
  putCounters(environment: string, service: string, counters: Counters): Promise<void>
  putCommand(row: OutboxRow): Promise<void>
  /** Plans that ended before, with all that belongs to them. */
  prunePlans(endedBeforeMs: number): Promise<void>
  /** Empties the signed text of commands that ended before. */
  pruneCommands(endedBeforeMs: number): Promise<void>
  appendAudit(row: AuditRow): Promise<void>
  putWebhook(row: WebhookRow): Promise<void>
  /** With all that it is owed. */
  deleteWebhook(id: string): Promise<void>
  putNotification(row: NotificationRow): Promise<void>
  deleteNotification(id: string): Promise<void>
  /** Forgets what was given up before. */
  pruneNotifications(givenUpBeforeMs: number): Promise<void>
  putRegistryLogin(row: RegistryLoginRow): Promise<void>
  deleteRegistryLogin(host: string): Promise<void>
  putLostHost(row: LostHostRow): Promise<void>
  deleteLostHost(environment: string, host: string): Promise<void>
}
export type Tx = Reads & Writes
export type Store = Reads & {
  /** All of it or nothing; on disk when it resolves. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  close(): Promise<void>
}
/** A file of the page for operators: its media type and its bytes. */
export type PageFile = { type: string; content: Uint8Array }
/** There is no room for the write: nothing of its transaction is stored. */
export class StoreFull extends Error {
  override readonly name = 'StoreFull'
}
/** A uniqueness constraint of the store refused the write. */
export class StoreConflict extends Error {
  override readonly name = 'StoreConflict'
}
