// The steps that runs are made of, as data. A plan is a list of them; the executor has one function per kind.
// Every step may be executed again after a crash in its middle and then finds what it had done before.
import type {
  CommandId,
  Digest,
  ImageReference,
  PortSpec,
  ServiceSpec,
  StagedImage
} from '@longshore/protocol'
import type { ContainerRequest, HealthRule, Ownership, RestartPolicy } from './observation.ts'

/** A container by the command that makes it, before it has an id. */
export type MadeRef = { by: 'command'; command: CommandId; release: number; index: number }
/** Or by Docker's id; `remade`: what stands in for it once it is gone. */
export type ContainerRef = { by: 'id'; id: string; remade?: MadeRef } | MadeRef

export type Step =
  /** Fails with `disk-full` when Docker's directory has fewer free bytes. */
  | { kind: 'check-disk'; minFreeBytes: number }
  /** Looks before Docker is asked: its own refusal comes only at start, as text. `allowed`: ids of containers that will give the port up. */
  | { kind: 'check-ports'; ports: PortSpec[]; allowed: string[] }
  | { kind: 'create-network'; name: string; labels: Record<string, string> }
  | { kind: 'resolve-image'; image: ImageReference }
  | {
      kind: 'fetch-image'
      repository: string
      tag: string | null
      digest: Digest
      platform: string | null
      pullPolicy: ServiceSpec['pullPolicy']
    }
  /** What `fetch-image` would refuse, as far as it can be seen without fetching. */
  | {
      kind: 'look-for-image'
      repository: string
      digest: Digest
      platform: string | null
      pullPolicy: ServiceSpec['pullPolicy']
    }
  | { kind: 'verify-image'; repository: string; digest: Digest; platform: string | null }
  | { kind: 'tag-image'; reference: string; repository: string; tag: string }
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
  | { kind: 'monitor'; containers: ContainerRef[]; rule: HealthRule; forMs: number }
  /** Starts it once for ever: found started, it is left alone; found gone, nobody knows whether it began. */
  | { kind: 'start-command'; container: MadeRef }
  /** Until the container of a command has ended, with its output told meanwhile. */
  | { kind: 'await-command'; container: MadeRef }
  /** With its anonymous volumes; a container that is gone is done. */
  | { kind: 'remove-container'; container: ContainerRef; graceMs: number }
  | {
      kind: 'prune-images'
      repository: string
      environment: string
      release: number
      keepImages: number
    }

export type StepKind = Step['kind']

/** What a step found out for the report; most find nothing. */
export type Finding =
  | { kind: 'nothing' }
  | { kind: 'digest'; digest: Digest }
  | { kind: 'image'; image: StagedImage }
  | { kind: 'warnings'; warnings: string[] }
  | { kind: 'exit'; exit: CommandExit }

/** How the command of a `run-once` ended, with its last lines of output. */
export type CommandExit = { code: number; log: string[] }

/** Steps after which another container may serve than before, or none; a run that has begun none is harmless. */
export const movesContainers = (kind: StepKind): boolean => {
  switch (kind) {
    case 'check-disk':
    case 'check-ports':
    case 'create-network':
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
      return false
    case 'create-container':
    case 'remake-container':
    case 'retire-container':
    case 'rename-container':
    case 'start-container':
    case 'remove-container':
      return true
    default:
      return kind satisfies never
  }
}

export const byId = ({ id }: { id: string }): { by: 'id'; id: string } => ({ by: 'id', id })

/** Whether a container with these labels is the one that is meant. */
export const isMadeAs = (owner: Ownership, made: MadeRef): boolean =>
  owner.command === made.command && owner.release === made.release && owner.index === made.index
