// The loop over commands: takes them into the journal, gives each service one run at a time, turns the effects
// of core/run.ts into steps and their ends into events. Whatever a run will do next is on disk before it does it.
import { createHash } from 'node:crypto'
import type { Command, CommandId, RefusalCode, RefusedMessage, ServiceSpec } from '@longshore/protocol'
import { isLook, limits } from '@longshore/protocol'
import { type Acceptance, decideAcceptance, objectionsTo } from './core/accept.ts'
import { pinnedReference } from './core/image-match.ts'
import type { ContainerRequest } from './core/observation.ts'
import { ownNetworkName } from './core/own-network.ts'
import type { Task } from './core/plan.ts'
import { specOfCommand, specOfRehearsal } from './core/plan-beside.ts'
import { stepRun } from './core/run.ts'
import { beginRun, type RunState } from './core/run-state.ts'
import { splitSources } from './core/source-policy.ts'
import { routedReleaseOf } from './core/traffic.ts'
import type {
  ArtifactDoor,
  Clock,
  ContainerEvents,
  Engine,
  HostChecks,
  Journal,
  JournalledCommand,
  OpenLogin,
  PolicySource,
  Proxy as ProxyPort,
  Runs,
  RunsListener,
  Successor
} from './ports.ts'
import { driveRun, type RunHandle } from './run-driver.ts'
import { createSentLogins } from './sent-logins.ts'
import { createSourceMemory } from './source-memory.ts'

/** Ended commands stay as evidence for this long. */
const evidenceMs = 30 * 24 * 3_600_000
/** Those that only looked changed nothing, and may come every minute. */
const lookEvidenceMs = 24 * 3_600_000

/** From a spec to Docker's create request; throws with words for people when it cannot be expressed. */
export type BuildRequest = (input: {
  spec: ServiceSpec
  image: string
  name: string
  labels: Record<string, string>
  /** The agent's own network; the plan gives the address. */
  ownNetwork?: { name: string; ipv4Address: string }
}) => ContainerRequest

export type RunsPorts = {
  engine: Engine
  proxy: ProxyPort
  events: ContainerEvents
  /** For the network of containers that HAProxy reaches, in the order of preference. */
  ownSubnets: readonly string[]
  artifacts: ArtifactDoor
  host: HostChecks
  journal: Journal
  clock: Clock
  policy: PolicySource
  openLogin: OpenLogin
  successor?: Successor
}

export type RunsSettings = { minFreeBytes: number; buildRequest: BuildRequest }

type Entry = { state: RunState; handle: RunHandle | undefined }

/** @param listener told of progress and of reports, after they are on disk */
export const createRuns = (ports: RunsPorts, settings: RunsSettings, listener: RunsListener): Runs => {
  const { journal } = ports
  /** In order of arrival: commands taken and not ended. */
  const open = new Map<CommandId, Entry>()
  const images = {
    memory: createSourceMemory(ports.clock),
    known: journal.images,
    artifacts: ports.artifacts
  }
  const logins = createSentLogins(ports.openLogin, ports.clock)
  const broken = Promise.withResolvers<never>()
  // who cares waits for it; a journal that fails while nobody does is no unhandled rejection
  broken.promise.catch(() => undefined)
  let isStopped = false

  const breakOff = (error: unknown): void => {
    isStopped = true
    broken.reject(error)
  }
  const startDue = (): void => {
    if (isStopped) return
    for (const [id, entry] of dueEntries(open)) {
      const handle = driveRun({ ...ports, images, logins }, entry.state, listener.progressed)
      entry.handle = handle
      handle.ended.then((report) => {
        if (report === undefined) return
        open.delete(id)
        logins.forget(id)
        listener.reported(report)
        startDue()
      }, breakOff)
    }
  }

  return {
    receive: async (command, jws, controllerNowMs, credentials = []) => {
      const found = journal.find(command.id)
      const answer = decide(ports, command, found, open.size, controllerNowMs)
      switch (answer.kind) {
        case 'repeat-accepted':
          if (open.has(command.id)) logins.keep(command.id, credentials)
          return { type: 'accepted', command: command.id }
        case 'repeat-report':
          if (found?.report != null) listener.reported(found.report)
          return undefined
        case 'refuse':
          return refuse(command, answer.code, answer.detail)
        case 'take':
          break
        default:
          return answer satisfies never
      }
      const task = makeTask(command, settings, ports)
      if (typeof task === 'string') return refuse(command, 'unsupported', task)
      const nowMs = ports.clock.nowMs()
      journal.prune({ beforeMs: nowMs - evidenceMs, looksBeforeMs: nowMs - lookEvidenceMs }, controllerNowMs)
      const state = beginRun(task)
      journal.begin(command, jws, state, nowMs)
      open.set(command.id, { state, handle: undefined })
      logins.keep(command.id, credentials)
      // After the answer: `accepted` leaves before the first progress.
      setImmediate(startDue)
      return { type: 'accepted', command: command.id }
    },
    cancel: (id) => {
      const entry = open.get(id)
      if (entry === undefined) return
      if (entry.handle !== undefined) return entry.handle.cancel()
      // One that waits for its turn remembers it in the journal: nobody says it twice.
      const event = { kind: 'cancelled', atMs: entry.state.elapsedMs } as const
      entry.state = stepRun(entry.state, event).state
      journal.saveRun(id, entry.state, null)
    },
    recover: async () => {
      for (const state of journal.openRuns()) {
        open.set(state.task.command.id, { state, handle: undefined })
        logins.miss(state.task.command.id)
      }
      startDue()
    },
    acknowledged: async (reportsUpTo) => journal.acknowledge(reportsUpTo),
    unacknowledged: () => journal.unacknowledged(),
    marks: () => journal.marks(),
    inFlight: () => [...open.keys()],
    isBusy: (environment, service) =>
      [...open.values()].some(
        (entry) =>
          laneOf(entry) === 'runs' &&
          serviceKey(entry.state.task.command) === serviceKey({ environment, service })
      ),
    stop: async () => {
      isStopped = true
      await Promise.all([...open.values()].map((entry) => entry.handle?.stop()))
      journal.close()
    },
    broken: broken.promise
  }
}

const decide = (
  { journal, policy }: RunsPorts,
  command: Command,
  found: JournalledCommand | undefined,
  openCommands: number,
  controllerNowMs: number
): Acceptance =>
  decideAcceptance({
    command,
    known: found === undefined ? 'absent' : found.report === null ? 'open' : 'ended',
    highestFence: journal.highestFence(command.environment, command.service),
    controllerNowMs,
    openCommands,
    maxOpenCommands: limits.maxPendingCommandsPerHost,
    policy: policy.state()
  })

const refuse = (command: Command, code: RefusalCode, detail: string): RefusedMessage => ({
  type: 'refused',
  command: command.id,
  code,
  detail: detail.slice(0, limits.maxReasonChars)
})

/**
 * The first entry of each service that nothing runs for, as far as there is room. Those that only look wait for
 * nobody, and nobody for them; they have as much room of their own.
 */
const dueEntries = (open: ReadonlyMap<CommandId, Entry>): [CommandId, Entry][] => {
  const busy = new Set<string>()
  const due: [CommandId, Entry][] = []
  const room = { looks: limits.maxParallelRuns, runs: limits.maxParallelRuns }
  for (const entry of open.values()) if (entry.handle !== undefined) room[laneOf(entry)] -= 1
  for (const [id, entry] of open) {
    const lane = laneOf(entry)
    const key = lane === 'looks' ? id : serviceKey(entry.state.task.command)
    if (!busy.has(key) && entry.handle === undefined && room[lane] > 0) {
      due.push([id, entry])
      room[lane] -= 1
    }
    busy.add(key)
  }
  return due
}

const laneOf = ({ state }: Entry): 'looks' | 'runs' =>
  isLook(state.task.command.body.kind) ? 'looks' : 'runs'

const serviceKey = ({ environment, service }: Pick<Command, 'environment' | 'service'>): string =>
  `${environment}/${service}`

/** @returns why it cannot be done, in words, when the spec cannot be told to Docker */
const makeTask = (
  command: Command,
  settings: RunsSettings,
  { journal, policy }: Pick<RunsPorts, 'journal' | 'policy'>
): Task | string => {
  const { body } = command
  const sources =
    'sources' in body ? splitSources(policy.state(), body.image.repository, body.sources) : undefined
  const base = { command, minFreeBytes: settings.minFreeBytes, ...(sources && { sources }) }
  if (!('spec' in body)) return { ...base, specHash: '', requests: [] }
  const objections = body.kind === 'plan' ? objectionsTo(command, policy.state()) : []
  const made = { ...base, specHash: hashSpec(body.spec), objections }
  const spec = specOfContainers(body)
  const { digest } = body.image
  const image = journal.images.find({ digest, platform: spec.platform }) ?? pinnedReference(body.image)
  try {
    // Built for `stage` as well: what Docker cannot be told is a vote, not a failure after others have switched.
    const network =
      routedReleaseOf(spec) === null
        ? {}
        : { ownNetwork: { name: ownNetworkName, ipv4Address: addressToCome } }
    const requests = Array.from({ length: spec.replicas }, (_, index) =>
      settings.buildRequest({
        spec,
        image,
        name: `${command.service}-r${body.release}-${index}`,
        labels: {},
        ...network
      })
    )
    return { ...made, requests }
  } catch (error) {
    const detail = (error instanceof Error ? error.message : String(error)).slice(0, limits.maxReasonChars)
    if (body.kind !== 'plan') return detail
    return { ...made, requests: [], objections: [...objections, { code: 'unsupported', detail }] }
  }
}

/** Until the plan, which knows what is free. */
const addressToCome = '0.0.0.0'

const specOfContainers = (body: Extract<Command['body'], { spec: ServiceSpec }>): ServiceSpec => {
  switch (body.kind) {
    case 'stage':
    case 'release':
    case 'plan':
      return body.spec
    case 'run-once':
      return specOfCommand(body)
    case 'rehearse':
      return specOfRehearsal(body)
    default:
      return body satisfies never
  }
}

/**
 * Hash of what makes a container: how a release is rolled out, and the tag, may change without a restart.
 * Keys are sorted, so that the order in which a controller writes them does not matter.
 */
export const hashSpec = (spec: ServiceSpec): string => {
  const {
    image: _image,
    update: _update,
    constraints: _constraints,
    keepImages: _keepImages,
    releaseCommand: _releaseCommand,
    sources: _sources,
    cache: _cache,
    routing,
    ...rest
  } = spec
  // What Docker publishes itself has the hash that it had before there was another way.
  const hashed = routing === null ? rest : { ...rest, routing }
  const sorted = (_key: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value
  return createHash('sha256').update(JSON.stringify(hashed, sorted)).digest('hex')
}
