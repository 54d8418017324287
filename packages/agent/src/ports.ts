// What the agent's parts need from each other, as types. The loop of runs (runs.ts) knows nothing of sockets;
// the session (session.ts) knows nothing of Docker; main.ts puts them together.
import type {
  AcceptedMessage,
  Command,
  CommandCredential,
  CommandId,
  Connections,
  Digest,
  EnvironmentName,
  Fence,
  ImageReference,
  ImageSource,
  InventoryContainer,
  PolicySummary,
  PortSpec,
  ProbeSpec,
  ProgressMessage,
  ProxyState,
  RefusedMessage,
  RegistryLogin,
  RunOutcome,
  RunReport,
  ServiceMark,
  ServiceName,
  StepReceipt
} from '@longshore/protocol'
import type { Adjusted } from './core/hand-changes.ts'
import type { Checkup } from './core/health.ts'
import type { SeenImage } from './core/image-match.ts'
import type { ContainerRequest, ReleaseRecord, RestartPolicy, SeenContainer } from './core/observation.ts'
import type { ListedImage } from './core/own-images.ts'
import type { PolicyState } from './core/policy.ts'
import type { Placement, Program } from './core/programs.ts'
import type { ServiceKey, ServiceRoute } from './core/proxy/routes.ts'
import type { RunState } from './core/run-state.ts'
import type { Versions, WantedImage } from './core/steps.ts'

export type Clock = {
  /** Wall clock, milliseconds since the epoch; for people and for tokens, never for durations. */
  nowMs(): number
  /** Monotonic milliseconds since an arbitrary moment. */
  monotonicMs(): number
  /** Calls back once after `delayMs`; returns its own cancellation. */
  after(delayMs: number, wake: () => void): () => void
}

/** The agent's loop over commands: journals, runs, remembers. Everything that it promises is on disk first. */
export type Runs = {
  /**
   * Takes a command whose signature, agent and installation were verified. Never executes an id twice.
   * @param jws the command as received, kept as evidence
   * @param controllerNowMs the controller's time, for `notAfterMs`
   * @param credentials that came with it: in memory alone, while its run lasts
   * @returns what to answer; undefined when its report is stored already (it is sent again instead)
   */
  receive(
    command: Command,
    jws: string,
    controllerNowMs: number,
    credentials?: readonly CommandCredential[]
  ): Promise<AcceptedMessage | RefusedMessage | undefined>
  /** Asks the run to undo itself and end; nothing happens when it has ended. */
  cancel(id: CommandId): void
  /** At start: finishes or undoes what was in flight when the process ended. Resolves once all are under way. */
  recover(): Promise<void>
  /** Reports up to this number are durable at the controller. Rejects when that could not be written. */
  acknowledged(reportsUpTo: number): Promise<void>
  /** Reports not yet acknowledged, oldest first. */
  unacknowledged(): RunReport[]
  marks(): ServiceMark[]
  inFlight(): CommandId[]
  /** Whether a run that may change containers of the service has not ended. */
  isBusy(environment: EnvironmentName, service: ServiceName): boolean
  /** Stops beginning steps, waits for those under way, closes the journal. Runs stay in it and go on at the next start. */
  stop(): Promise<void>
  /** Rejects with JournalError once the state of a run could not be written: nothing is begun from then on. */
  readonly broken: Promise<never>
}

/** What runs tell while they are at it. `reported` comes after the report is on disk. */
export type RunsListener = {
  progressed(message: ProgressMessage): void
  reported(report: RunReport): void
}

/** Our containers as Docker sees them, for the inventory. */
export type ContainerWatch = {
  /**
   * Rejects when the engine does not answer.
   * @param how `all`: looks at each container anew; else only at those that something happened to
   */
  list(how?: 'all' | 'changed'): Promise<InventoryContainer[]>
  /** Calls back after any event of our containers, and when the engine goes or comes back. */
  onChange(changed: () => void): () => void
}

/** The host policy file as read at start and at every change of it. */
export type PolicySource = { summary(): PolicySummary; state(): PolicyState }

/** How a HEALTHCHECK ended, as `State.Health.Log` of `GET /containers/ID/json` tells it. */
export type LastCheck = {
  /** Docker's own text, compared only. */
  startedAt: string
  exitCode: number
  tookMs: number
}

/** One container at one moment, as `GET /containers/ID/json` tells it. */
export type ContainerLook = Adjusted & {
  isRunning: boolean
  isRestarting: boolean
  /** Docker's own text, compared only. */
  startedAt: string
  /** Milliseconds since the epoch; null: it has not ended yet. */
  finishedAtMs: number | null
  restartCount: number
  exitCode: number
  /** The HEALTHCHECK in force; null: none or disabled. */
  checkup: Checkup | null
  /** How its HEALTHCHECK ended last; null: it has not, or there is none. */
  lastCheck: LastCheck | null
  /** Where a probe reaches it: its own addresses first, then where the port is published. */
  addresses: string[]
  bindings: { target: number; hostIp: string; port: number }[]
  isOnHostNetwork: boolean
}

/** The Docker Engine. Every call has a time limit and rejects with EngineError. */
export type Engine = {
  /** Rejects while the engine does not answer or is too old. */
  ping(): Promise<void>
  /** All containers. Their restart policy takes one more call each: told only for those that need it. */
  listContainers(needsPolicy?: (one: SeenContainer) => boolean): Promise<SeenContainer[]>
  /** @returns undefined when there is none */
  inspectContainer(idOrName: string): Promise<ContainerLook | undefined>
  /** Without its further networks: a repeated create may have to join them all the same. */
  createContainer(name: string, request: ContainerRequest): Promise<string>
  /** Joins what is not joined yet. */
  joinNetworks(id: string, joins: ContainerRequest['joins']): Promise<void>
  startContainer(id: string): Promise<void>
  stopContainer(id: string, graceMs: number): Promise<void>
  /** With its anonymous volumes, unless these are to stay. */
  removeContainer(id: string, options?: { keepsVolumes: boolean }): Promise<void>
  renameContainer(id: string, name: string): Promise<void>
  setRestartPolicy(id: string, policy: RestartPolicy): Promise<void>
  /** Last lines, both streams, oldest first; none for log drivers that cannot be read. */
  readLog(id: string, lines: number): Promise<string[]>
  /**
   * Tells the output of a container line by line, both streams, until it ends or the signal is aborted. Never rejects:
   * what a log driver or a lost engine keeps back is not told.
   * @param how.isFromStart false: only what is written from now on
   */
  followLog(
    id: string,
    how: { isFromStart: boolean; signal: AbortSignal },
    tell: (lines: string[]) => void
  ): Promise<void>
  inspectImage(reference: string): Promise<SeenImage | undefined>
  listTags(repository: string): Promise<string[]>
  /** All of them: a filter of the engine would leave out the digests of those that it finds by a tag. */
  listImages(): Promise<ListedImage[]>
  /**
   * Pulls `repository@digest` with the host's credentials; with `login` where it has none, or they are not let in. Rejects with `no-progress` when the layers stand still
   * for `noProgressMs`. A resolved promise is no proof: inspect is.
   * @param request.isAnonymous without credentials, whatever the host has for the name
   */
  pullImage(request: {
    repository: string
    digest: Digest
    isAnonymous: boolean
    login: RegistryLogin | undefined
    platform: string | null
    noProgressMs: number
    signal: AbortSignal
    onProgress: (bytes: { done: number; total: number }) => void
  }): Promise<void>
  tagImage(reference: string, repository: string, tag: string): Promise<void>
  removeImage(reference: string): Promise<void>
  /** Asks the registry through the engine which digest the reference has now; with credentials as `pullImage`. */
  resolveDigest(image: ImageReference, login: RegistryLogin | undefined, limitMs?: number): Promise<Digest>
  hasNetwork(name: string): Promise<boolean>
  /** @param subnet with its gateway; undefined: the engine chooses */
  createNetwork(
    name: string,
    labels: Record<string, string>,
    subnet?: { subnet: string; gateway: string }
  ): Promise<void>
  /** All networks with their subnets, as CIDR. */
  listNetworks(): Promise<{ name: string; subnets: string[] }[]>
  /** Docker's data directory, for the disk threshold. */
  dataDirectory(): Promise<string>
}

/** What is asked of the host beside Docker. */
export type HostChecks = {
  /** @returns null when the path cannot be seen from here */
  freeBytes(path: string): Promise<number | null>
  isPortBound(port: PortSpec): Promise<boolean>
  /** Subnets that the host has IPv4 routes to, as CIDR, without the default route. */
  routes(): Promise<string[]>
  probe(probe: ProbeSpec, address: string, port: number): Promise<{ isOk: boolean; detail: string }>
}

/** Counters of one service since HAProxy began to count, all its ports together. */
export type RouteFigures = ServiceKey & {
  requests: number
  errors: number
  sessions: number
  upgraded: number
  latencyMs: number | null
  /** The same for each container that has or had traffic, by Docker's full id. */
  containers: { id: string; requests: number; errors: number }[]
}

/**
 * HAProxy on the host. What it is to do is on disk before a call resolves or rejects, and is brought about again
 * whenever it differs. Every call rejects with ProxyError.
 */
export type Proxy = {
  /** Starts it unless it runs. Rejects with `proxy-missing` when there is none, or one older than 2.6. */
  ensure(): Promise<void>
  /** Rejects as `ensure` does, and changes nothing: what would be fetched first is not judged. */
  lookForProgram(): Promise<void>
  state(): ProxyState
  /** What it is told to do now. */
  routes(): ServiceRoute[]
  /** Whether one of its own listeners holds the port for the service, or for others that share it by `hosts`. */
  holdsPort(port: { hostIp: string | null; published: number }): Promise<boolean>
  /**
   * Resolves once new clients are brought to these containers and to no other one of the service: those that are added
   * first get traffic, then those that left lose it and keep what is attached. Opens and closes ports. Workers that a
   * reload replaced keep their lists for the clients that they have; `detach` counts those.
   */
  route(route: ServiceRoute): Promise<void>
  /** Closes its ports. Nothing, when there is no route. */
  unroute(key: ServiceKey): Promise<void>
  /**
   * Takes containers that lost their traffic out for good if nothing is attached to them any more.
   * @returns what is still attached; none: they are out, or were never in
   */
  detach(key: ServiceKey, containers: readonly string[]): Promise<Connections>
  /** Closes what is attached to containers that lost their traffic. */
  closeConnections(key: ServiceKey, containers: readonly string[]): Promise<void>
  figures(): Promise<RouteFigures[]>
  /** Calls back when it went away, came back, or began anew. */
  onChange(changed: () => void): () => void
}

/** Logs of containers, as the engine keeps them. */
export type ContainerLogs = {
  /**
   * Rejects with EngineError; `failed` where the log driver keeps nothing, in the engine's words.
   * @param how.since as core/log-points writes it; null: from the first line that is kept
   * @param how.tail null: all lines
   * @returns bytes as core/logs decodes them; the engine waits for whoever reads them
   */
  open(
    id: string,
    how: { isFollowed: boolean; since: string | null; tail: number | null },
    signal: AbortSignal
  ): Promise<{ isTty: boolean; chunks: AsyncIterable<Uint8Array> }>
}

/** What happens to containers, told by the engine within some ten milliseconds. */
export type ContainerEvents = {
  /** Calls back with Docker's id after each event of a container; returns how to stop that. */
  onEvent(happened: (id: string) => void): () => void
}

/** Which sources failed lately. */
export type SourceMemory = {
  /** Those that failed lately come last. */
  inOrder(sources: readonly ImageSource[], repository: string): ImageSource[]
  failed(source: ImageSource, repository: string): void
  served(source: ImageSource, repository: string): void
}

/** Images that came under another name than the one that their release pins: found by the engine's own id. On disk. */
export type KnownImages = {
  find(image: Pick<WantedImage, 'digest' | 'platform'>): string | undefined
  /** To be called once the image was verified. */
  remember(image: Pick<WantedImage, 'digest' | 'platform'> & { id: string }): void
  forget(image: Pick<WantedImage, 'digest' | 'platform'>): void
  /** What an image was remembered as. */
  digestOf(id: string): string | undefined
}

/** The controller's image store, as a registry on loopback that only this host's engine can use. */
export type ArtifactDoor = {
  /**
   * Opens a way to one repository.
   * @returns the name under which the engine finds it, and how to end that
   */
  open(repository: string): Promise<{ repository: string; close(): Promise<void> }>
  /** Whether a name of an image is one that some door gave. */
  isOwnName(name: string): boolean
}

/** Decrypts with the agent's own key. Rejects when it is not for this agent, or for something else than is wanted. */
export type OpenLogin = (
  jwe: string,
  wanted: { command: CommandId; registry: string }
) => Promise<RegistryLogin>

/** `problem`: why the controller sent none although it should have some. */
export type FoundLogin = { login: RegistryLogin | undefined; problem: string | null }

/** Credentials that came with commands. */
export type SentLogins = {
  keep(command: CommandId, credentials: readonly CommandCredential[]): void
  /** An earlier process began its run, and had them. */
  miss(command: CommandId): void
  forget(command: CommandId): void
  find(command: CommandId, repository: string): Promise<FoundLogin>
  /** Waits for those that were missed, not for long. @returns whether they have come; false: there is nothing to wait for */
  arrival(command: CommandId, signal: AbortSignal): Promise<boolean>
}

/** What steps around images need beside the engine. */
export type ImageHelp = { memory: SourceMemory; known: KnownImages; artifacts: ArtifactDoor }

/** Everything that step functions touch. */
/** Programs of the agent in its data directory, and the file that says which one has the place. */
export type ProgramFiles = {
  /** null: no upgrade was ever begun here. @throws AgentExit `data-directory` when it is damaged */
  read(): Placement | null
  /** null: forgets it, and every program. */
  write(next: Placement | null): void
  keep(image: Digest, content: Uint8Array): Program
  pathOf(program: Pick<Program, 'image'>): string
  /** Whether the file is there as it was kept. */
  isWhole(program: Program): boolean
  /** Removes the others. */
  prune(kept: readonly Program[]): void
}

/** Resolves with an archive that holds the file. Rejects with EngineError, `not-found` where the image has none such. */
export type CopyFile = (image: string, path: string, maxBytes: number) => Promise<Buffer>

/** Runs the program beside this one; resolves with its version. @throws StepError `upgrade-failed`, and why */
export type TryProgram = (path: string, signal: AbortSignal) => Promise<string>

/** What makes the agent another version of itself. The three steps of an upgrade; each may be repeated. */
export type Successor = {
  /** Keeps the program that the image holds. @throws StepError, EngineError */
  take(reference: string, image: Digest): Promise<void>
  /** Resolves with its version once it was answered. @throws StepError `upgrade-failed` */
  tryOut(image: Digest, signal: AbortSignal): Promise<string>
  /** Resolves in the program that has the place then. @throws StepError `upgrade-failed` in the one that got it back */
  handOver(image: Digest, signal: AbortSignal): Promise<Versions>
}

export type Runtime = {
  engine: Engine
  proxy: Proxy
  events: ContainerEvents
  host: HostChecks
  images: ImageHelp
  /** Of the run's own command. */
  /** undefined: a process that cannot be replaced. */
  successor: Successor | undefined
  logins: {
    find(repository: string): Promise<FoundLogin>
    arrival(signal: AbortSignal): Promise<boolean>
  }
  clock: Clock
  /** Aborted when the run is to stop waiting. */
  signal: AbortSignal
  /** The step was begun before: by an agent that died in it, or until the engine went away. */
  isRepeated: boolean
  progress(detail: string, more?: Pick<ProgressMessage, 'bytes' | 'connections' | 'health'>): void
  /** Lines that the command of a `run-once` wrote. */
  output(lines: string[]): void
}

export type JournalledCommand = { command: Command; report: RunReport | null }

/** The agent's durable record. Every write is on disk when the call returns; it throws JournalError when it is not. */
export type Journal = {
  /** Command, evidence, fence and first state in one transaction. */
  begin(command: Command, jws: string, state: RunState, atMs: number): void
  find(id: CommandId): JournalledCommand | undefined
  /** State, and the record of a release that the plan will make. */
  saveRun(id: CommandId, state: RunState, record: ReleaseRecord | null): void
  /** Numbers and stores the report. */
  endRun(id: CommandId, state: RunState, outcome: RunOutcome, steps: StepReceipt[], atMs: number): RunReport
  /** Runs that have not ended, in the order of their arrival. */
  openRuns(): RunState[]
  unacknowledged(): RunReport[]
  /** No later report gets a number up to this one, also when this journal has not come so far. */
  acknowledge(reportsUpTo: number): void
  highestFence(environment: EnvironmentName, service: ServiceName): Fence | null
  marks(): ServiceMark[]
  releases(environment: EnvironmentName, service: ServiceName): ReleaseRecord[]
  /** Of all services. */
  allReleases(): ReleaseRecord[]
  readonly images: KnownImages
  /** Drops acknowledged commands that ended before this (those that only looked: before that) and cannot be executed again. */
  prune(ended: { beforeMs: number; looksBeforeMs: number }, controllerNowMs: number): void
  close(): void
}
