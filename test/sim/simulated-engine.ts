// A Docker Engine that keeps its containers in memory: as much of Docker's behaviour as runs rest on, on virtual
// time. It outlives the agent's crashes, restarts on demand the way dockerd does (restart policies decide what
// comes back), and writes down what the invariants ask about.
import type { Digest } from '@longshore/protocol'
import type { SeenImage } from '../../packages/agent/src/core/image-match.ts'
import type {
  ContainerRequest,
  Ownership,
  Purpose,
  RestartPolicy
} from '../../packages/agent/src/core/observation.ts'
import { readOwnLabels } from '../../packages/agent/src/core/own-labels.ts'
import { EngineError } from '../../packages/agent/src/engine-error.ts'
import type { ContainerLook, Engine } from '../../packages/agent/src/ports.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { ProcessClock } from './virtual-time.ts'

/** What the program in an image does. */
export type Behaviour = 'serves' | 'exits' | 'never-healthy' | 'dies-later'
/** What a release command does: the first word of the command. */
export type CommandBehaviour = 'succeed' | 'fail' | 'hang'
/** The registry of the simulated world, shared by all hosts: `repository:tag` -> digest, and what is in each image. */
export type SimulatedRegistry = {
  tags: Map<string, Digest>
  behaviours: Map<string, Behaviour>
  isDown: boolean
}

export type SimulatedContainer = {
  id: string
  name: string
  request: ContainerRequest
  owner: Ownership | null
  digest: string
  behaviour: Behaviour
  restart: RestartPolicy
  state: 'created' | 'running' | 'exited'
  exitCode: number
  startedAtMs: number
  createdAtMs: number
  restartCount: number
  starts: number
}

export const purposeOf = ({ owner }: SimulatedContainer): Purpose => owner?.purpose ?? 'serving'

export type EngineRecord = {
  /** Containers made and not removed since, by command, release and index. */
  created: Map<string, number>
  /** Called when a running container of ours is about to be stopped by a call. */
  stopping: (container: SimulatedContainer) => void
  /** Called when a container of ours is started by a call. */
  starting: (container: SimulatedContainer) => void
}

export type SimulatedHost = {
  engine: Engine
  containers: Map<string, SimulatedContainer>
  record: EngineRecord
  isUp(): boolean
  /** Calls back after every change of a container, and when the engine goes or comes. */
  onChange(changed: () => void): void
  /** Stops the engine with all its containers and starts it again after `downMs`. */
  restart(downMs: number): void
  /** What `docker container prune` in a cron job does. */
  prune(): void
  /** A new disk: nothing of what was there is left. */
  forget(): void
}

type Ports = {
  clock: ProcessClock
  random: SeededRandom
  registry: SimulatedRegistry
  stopping: EngineRecord['stopping']
  starting: EngineRecord['starting']
  /** Called when a call has taken effect and before it is answered: the agent may be killed there. */
  acted: () => void
}

export const createSimulatedHost = (ports: Ports): SimulatedHost => {
  const { clock, random, registry, stopping, starting, acted } = ports
  const containers = new Map<string, SimulatedContainer>()
  /** Digest -> repositories from which it was pulled. */
  const images = new Map<string, Set<string>>()
  const tags = new Map<string, string>()
  const record: EngineRecord = { created: new Map(), stopping, starting }
  let isEngineUp = true
  let number = 0
  let changed = (): void => {}

  const wait = (delayMs: number): Promise<void> => new Promise((resolve) => clock.after(delayMs, resolve))
  /** One call: there, at the engine, and back; the engine may be away at either moment. */
  const call = async <T>(act: () => T): Promise<T> => {
    await wait(random.integer(1, 8))
    if (!isEngineUp) throw new EngineError('unreachable', 'the engine does not answer')
    const answer = act()
    changed()
    acted()
    await wait(random.integer(1, 8))
    if (!isEngineUp) throw new EngineError('unreachable', 'the connection to the engine broke')
    return answer
  }
  const find = (idOrName: string): SimulatedContainer | undefined =>
    containers.get(idOrName) ?? [...containers.values()].find(({ name }) => name === idOrName)
  const demand = (id: string): SimulatedContainer => {
    const found = find(id)
    if (found === undefined) throw new EngineError('not-found', `no container ${id}`)
    return found
  }
  const behaviourOf = (digest: string): Behaviour => registry.behaviours.get(digest) ?? 'serves'

  /** The program ends by itself: the restart policy decides. */
  const exitLater = (container: SimulatedContainer, afterMs: number, exitCode = 1): void => {
    const { starts } = container
    clock.after(afterMs, () => {
      if (container.starts !== starts || container.state !== 'running') return
      container.state = 'exited'
      container.exitCode = exitCode
      changed()
      if (!isEngineUp || container.restart.name === 'no') return
      container.restartCount += 1
      start(container)
    })
  }
  const start = (container: SimulatedContainer): void => {
    container.starts += 1
    container.state = 'running'
    container.startedAtMs = clock.nowMs()
    if (purposeOf(container) === 'once') {
      runCommand(container)
      return
    }
    const { behaviour } = container
    if (behaviour === 'exits') exitLater(container, random.integer(50, 900))
    if (behaviour === 'dies-later') exitLater(container, random.integer(5_200, 5_900))
  }
  const runCommand = (container: SimulatedContainer): void => {
    const [command] = (container.request.body['Cmd'] ?? []) as CommandBehaviour[]
    if (command === 'succeed') exitLater(container, random.integer(50, 4_000), 0)
    if (command === 'fail') exitLater(container, random.integer(50, 4_000), 1)
  }
  const stop = (container: SimulatedContainer, exitCode: number): void => {
    if (container.state !== 'running') return
    container.state = 'exited'
    container.exitCode = exitCode
  }
  const look = (one: SimulatedContainer): ContainerLook => {
    const isChecked = one.behaviour === 'never-healthy'
    return {
      id: one.id,
      name: one.name,
      state: one.state,
      health: isChecked && one.state === 'running' ? 'starting' : 'none',
      image: String(one.request.body['Image']),
      createdAtMs: one.createdAtMs,
      restart: one.restart,
      owner: one.owner,
      publishes: [],
      ownAddress: null,
      isRunning: one.state === 'running',
      isRestarting: false,
      startedAt: String(one.startedAtMs),
      finishedAtMs: null,
      restartCount: one.restartCount,
      exitCode: one.exitCode,
      checkup: null,
      lastCheck: null,
      addresses: [],
      bindings: [],
      isOnHostNetwork: false,
      adjustable: {},
      networks: []
    }
  }
  const seenImage = (digest: string): SeenImage => ({
    id: digest,
    repoTags: [],
    repoDigests: [...(images.get(digest) ?? [])].map((repository) => `${repository}@${digest}`),
    os: 'linux',
    architecture: 'amd64',
    variant: '',
    diffIds: [digest],
    sizeBytes: 1000
  })
  const create = (name: string, request: ContainerRequest): string => {
    if (find(name) !== undefined) throw new EngineError('name-taken', `the name ${name} is in use`)
    number += 1
    const labels = (request.body['Labels'] ?? {}) as Record<string, string>
    const owner = readOwnLabels(labels)
    const id = String(number).padStart(12, '0')
    const digest = String(request.body['Image']).split('@')[1] ?? ''
    if (!images.has(digest)) throw new EngineError('image-missing', `no image ${digest}`)
    containers.set(id, {
      id,
      name,
      request,
      owner,
      digest,
      behaviour: behaviourOf(digest),
      restart: { name: 'no', maxRetries: 0 },
      state: 'created',
      exitCode: 0,
      startedAtMs: 0,
      createdAtMs: clock.nowMs(),
      restartCount: 0,
      starts: 0
    })
    if (owner !== null) countCreation(record, owner)
    return id
  }

  const engine: Engine = {
    ping: () => call(() => undefined),
    listContainers: () => call(() => [...containers.values()].map(look)),
    inspectContainer: (id) =>
      call(() => {
        const found = find(id)
        return found === undefined ? undefined : look(found)
      }),
    createContainer: (name, request) => call(() => create(name, request)),
    joinNetworks: () => call(() => undefined),
    startContainer: (id) =>
      call(() => {
        const container = demand(id)
        if (container.state === 'running') return
        if (container.owner !== null) record.starting(container)
        start(container)
      }),
    stopContainer: (id) =>
      call(() => {
        const container = demand(id)
        if (container.state === 'running' && container.owner !== null) record.stopping(container)
        stop(container, 143)
      }),
    removeContainer: (id) =>
      call(() => {
        const container = demand(id)
        if (container.state === 'running') throw new EngineError('conflict', 'it runs')
        containers.delete(container.id)
        if (container.owner !== null) record.created.delete(creationKey(container.owner))
      }),
    renameContainer: (id, name) =>
      call(() => {
        demand(id).name = name
      }),
    setRestartPolicy: (id, policy) =>
      call(() => {
        demand(id).restart = policy
      }),
    readLog: () => call(() => ['last words']),
    followLog: async () => undefined,
    inspectImage: (reference) =>
      call(() => {
        const digest = tags.get(reference) ?? reference.split('@')[1] ?? ''
        return images.has(digest) ? seenImage(digest) : undefined
      }),
    listTags: (repository) =>
      call(() =>
        [...tags.keys()]
          .filter((one) => one.startsWith(`${repository}:`))
          .map((one) => one.slice(repository.length + 1))
      ),
    listImages: () => call(() => []),
    pullImage: async ({ repository, digest }) => {
      await wait(random.integer(10, 2_000))
      await call(() => {
        if (registry.isDown) throw new EngineError('registry-unavailable', 'the registry is down')
        images.set(digest, (images.get(digest) ?? new Set()).add(repository))
      })
    },
    tagImage: (reference, repository, tag) =>
      call(() => {
        tags.set(`${repository}:${tag}`, reference.split('@')[1] ?? '')
      }),
    removeImage: (reference) =>
      call(() => {
        tags.delete(reference)
      }),
    resolveDigest: ({ repository, tag }) =>
      call(() => {
        if (registry.isDown) throw new EngineError('registry-unavailable', 'the registry is down')
        const digest = registry.tags.get(`${repository}:${tag}`)
        if (digest === undefined) throw new EngineError('image-missing', `no tag ${tag}`)
        return digest
      }),
    hasNetwork: () => call(() => true),
    createNetwork: () => call(() => undefined),
    listNetworks: () => call(() => []),
    dataDirectory: () => call(() => '/var/lib/docker')
  }

  return {
    engine,
    containers,
    record,
    isUp: () => isEngineUp,
    onChange: (listener) => {
      changed = listener
    },
    prune: () => {
      if (!isEngineUp) return
      changed()
      for (const { id, state, owner } of [...containers.values()]) {
        if (state === 'running') continue
        containers.delete(id)
        // who goes back to it makes it again
        if (owner !== null) record.created.delete(creationKey(owner))
      }
    },
    forget: () => {
      for (const container of containers.values()) stop(container, 137)
      containers.clear()
      images.clear()
      tags.clear()
    },
    restart: (downMs) => {
      isEngineUp = false
      const ran = [...containers.values()].filter(({ state }) => state === 'running')
      for (const container of ran) stop(container, 137)
      changed()
      clock.after(downMs, () => {
        isEngineUp = true
        changed()
        for (const container of ran)
          if (containers.has(container.id) && container.restart.name !== 'no' && container.state === 'exited')
            start(container)
      })
    }
  }
}

const creationKey = ({ command, release, index }: Ownership): string => `${command} r${release}-${index}`

const countCreation = (record: EngineRecord, owner: Ownership): void => {
  const key = creationKey(owner)
  record.created.set(key, (record.created.get(key) ?? 0) + 1)
}
