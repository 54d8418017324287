// The steps that runs are made of, as data. A plan is a list of them; the executor has one function per kind.
// Every step may be executed again after a crash in its middle and then finds what it had done before.
import type {
  CommandId,
  Connections,
  Digest,
  ImageContent,
  ImageReference,
  ImageSource,
  PortSpec,
  ServiceSpec,
  SourceFailure,
  StagedImage
} from '@longshore/protocol'
import type { ContainerRequest, HealthRule, Ownership, RestartPolicy } from './observation.ts'
import type { ServiceKey, ServiceRoute } from './proxy/routes.ts'

/** A container by the command that makes it, before it has an id. */
export type MadeRef = { by: 'command'; command: CommandId; release: number; index: number }
/** Or by Docker's id; `remade`: what stands in for it once it is gone. */
export type ContainerRef = { by: 'id'; id: string; remade?: MadeRef } | MadeRef

/** What HAProxy is to do for a service, before the containers have ids and addresses. */
export type WantedRoute = Omit<ServiceRoute, 'containers'>
/** Containers that serve as `route` says. */
export type Routed = { route: WantedRoute; containers: ContainerRef[] }

/** Where an image may come from here, in order, and what the host's policy takes out of that. */
export type UsableSources = { allowed: ImageSource[]; refused: SourceFailure[] }

/** By which an image is found on the host, whatever name it came under. */
export type WantedImage = { repository: string; digest: Digest; platform: string | null }

/** How an image is fetched from other places than its registry. */
export type FetchPlan = {
  sources: UsableSources
  contents: ImageContent[]
  /** The tag of ours that it gets there and then: it has no other name that stays. */
  keepAs: { repository: string; tag: string }
  minFreeBytes: number
}

export type Step =
  /** Fails with `disk-full` when Docker's directory has fewer free bytes. */
  | { kind: 'check-disk'; minFreeBytes: number }
  /**
   * Looks before Docker is asked: its own refusal comes only at start, as text. `allowed`: ids of containers that will
   * give the port up. `route`: what the ports are for, where HAProxy holds them now or then; `routing` null: it will not.
   */
  | {
      kind: 'check-ports'
      ports: PortSpec[]
      allowed: string[]
      route?: ServiceKey & { routing: WantedRoute['routing'] | null }
    }
  | { kind: 'create-network'; name: string; labels: Record<string, string> }
  /** Starts HAProxy unless it runs. */
  | { kind: 'check-proxy' }
  /** What `check-proxy` would refuse, as far as it can be seen without starting anything. */
  | { kind: 'look-for-proxy' }
  | { kind: 'create-own-network'; name: string; subnet: string; labels: Record<string, string> }
  /** `sources` absent, as in a run that an older agent began: the registry. */
  | { kind: 'resolve-image'; image: ImageReference; sources?: UsableSources }
  /** `plan` absent likewise. */
  | ({
      kind: 'fetch-image'
      tag: string | null
      pullPolicy: ServiceSpec['pullPolicy']
      plan?: FetchPlan
    } & WantedImage)
  /** What `fetch-image` would refuse, as far as it can be seen without fetching. */
  | ({ kind: 'look-for-image'; pullPolicy: ServiceSpec['pullPolicy']; plan?: FetchPlan } & WantedImage)
  | ({ kind: 'verify-image' } & WantedImage)
  /** `image` absent, as in a run that an older agent began: only by its reference. */
  | { kind: 'tag-image'; reference: string; image?: WantedImage; repository: string; tag: string }
  | { kind: 'create-container'; name: string; owner: Ownership; request: ContainerRequest }
  /** Creates again what somebody removed while it was kept; a container that is there is done. */
  | {
      kind: 'remake-container'
      container: ContainerRef
      name: string
      owner: Ownership
      request: ContainerRequest
    }
  /** Sets the restart policy to `no` first, else an engine restart would start it beside its successor. */
  | { kind: 'retire-container'; container: ContainerRef; graceMs: number }
  | { kind: 'rename-container'; container: ContainerRef; name: string }
  | { kind: 'start-container'; container: ContainerRef; restart: RestartPolicy }
  | { kind: 'await-healthy'; containers: ContainerRef[]; rule: HealthRule }
  /** `fallback`: who gets the traffic back at once when one of them goes down. */
  | { kind: 'monitor'; containers: ContainerRef[]; rule: HealthRule; forMs: number; fallback?: Routed }
  /** All of them get traffic while they are watched; then their shares of failed requests are compared. */
  | {
      kind: 'share-traffic'
      to: Routed
      former: Routed
      rule: HealthRule
      forMs: number
      maxErrorRatio: number
    }
  /** New traffic goes to these containers only. Fails, and changes nothing, while one of them does not run. */
  | { kind: 'switch-traffic'; to: Routed }
  /** Stops those that hold the ports themselves; HAProxy takes the ports at once. */
  | { kind: 'take-over-ports'; to: Routed; holders: { container: ContainerRef; graceMs: number }[] }
  /**
   * Until nothing is attached to containers that lost their traffic; what still is when the time ends is closed.
   * `watch`: those that have it now, watched meanwhile.
   */
  | {
      kind: 'drain-containers'
      service: ServiceKey
      containers: ContainerRef[]
      timeoutMs: number
      watch: { containers: ContainerRef[]; rule: HealthRule; fallback: Routed } | null
    }
  /** HAProxy lets the ports of the service go. */
  | { kind: 'close-ports'; service: ServiceKey; ports: PortSpec[] }
  /** Starts it once for ever: found started, it is left alone; found gone, nobody knows whether it began. */
  | { kind: 'start-command'; container: MadeRef }
  /** Until the container of a command has ended, with its output told meanwhile. */
  | { kind: 'await-command'; container: MadeRef }
  /** With its anonymous volumes; a container that is gone is done. */
  /** `keepsVolumes`: its anonymous volumes stay; absent: they go with it. */
  | { kind: 'remove-container'; container: ContainerRef; graceMs: number; keepsVolumes?: true }
  | {
      kind: 'prune-images'
      repository: string
      environment: string
      release: number
      keepImages: number
    }
  /** The program of an agent out of an image that is here, kept in the data directory. */
  | { kind: 'take-agent'; image: WantedImage }
  /** Runs it beside this one, until it has been answered in a session of its own. */
  | { kind: 'try-agent'; image: Digest }
  /** This process becomes that program. Done by it, once it is connected; or by this one, once it is back. */
  | { kind: 'hand-over'; image: Digest }

export type StepKind = Step['kind']

/** What a step found out for the report; most find nothing. */
export type Finding =
  | { kind: 'nothing' }
  | { kind: 'digest'; digest: Digest; served?: ServedBy }
  | { kind: 'fetched'; served: ServedBy; manifest: Digest }
  | { kind: 'image'; image: StagedImage }
  | { kind: 'warnings'; warnings: string[] }
  | { kind: 'exit'; exit: CommandExit }
  /** `gapMs`: for how long nothing held the ports; null: somebody did all the time. */
  | { kind: 'switched'; switchMs: number; gapMs: number | null }
  | { kind: 'drained'; drainMs: number; closed: Connections }
  | { kind: 'notes'; notes: string[] }
  /** Versions of the agent. */
  | { kind: 'upgraded'; versions: Versions }

/** Which source an image, or what its tag means, came from; null: it was here. */
export type ServedBy = { source: ImageSource | null; failed: SourceFailure[] }

/** Of the agent that serves now, and of the one before. */
export type Versions = { version: string; former: string }

/** How the command of a `run-once` ended, with its last lines of output. */
export type CommandExit = { code: number; log: string[] }

/** Steps after which another container may serve than before, or none; a run that has begun none is harmless. */
export const movesContainers = (kind: StepKind): boolean => {
  switch (kind) {
    case 'check-disk':
    case 'check-ports':
    case 'check-proxy':
    case 'look-for-proxy':
    case 'create-network':
    case 'create-own-network':
    case 'resolve-image':
    case 'fetch-image':
    case 'look-for-image':
    case 'verify-image':
    case 'tag-image':
    case 'start-command':
    case 'await-command':
    case 'await-healthy':
    case 'monitor':
    case 'prune-images':
    case 'take-agent':
    case 'try-agent':
    case 'hand-over':
      return false
    case 'create-container':
    case 'remake-container':
    case 'retire-container':
    case 'rename-container':
    case 'start-container':
    case 'remove-container':
    case 'share-traffic':
    case 'switch-traffic':
    case 'take-over-ports':
    case 'drain-containers':
    case 'close-ports':
      return true
    default:
      return kind satisfies never
  }
}

/** Steps after which HAProxy sends traffic elsewhere than before. */
export const movesTraffic = ({ kind }: Step): boolean =>
  kind === 'share-traffic' ||
  kind === 'switch-traffic' ||
  kind === 'take-over-ports' ||
  kind === 'close-ports'

/** Steps that stop what served, to be kept. */
export const isRetiring = ({ kind }: Step): boolean =>
  kind === 'retire-container' || kind === 'take-over-ports'

export const byId = ({ id }: { id: string }): { by: 'id'; id: string } => ({ by: 'id', id })

/** Whether a container with these labels is the one that is meant. */
export const isMadeAs = (owner: Ownership, made: MadeRef): boolean =>
  owner.command === made.command && owner.release === made.release && owner.index === made.index
