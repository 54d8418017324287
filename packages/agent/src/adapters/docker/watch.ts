// Our containers as Docker shows them now, and a call back when something about them changed. A container is inspected
// when an event named it, when the event stream was opened anew, and when a session begins; not otherwise.
import type { InstallationId, InventoryContainer } from '@longshore/protocol'
import { limits } from '@longshore/protocol'
import { changesByHand } from '../../core/hand-changes.ts'
import { isUp, type Ownership, type ReleaseRecord, type SeenContainer } from '../../core/observation.ts'
import type { Clock, ContainerEvents, ContainerLook, ContainerWatch, Engine } from '../../ports.ts'
import type { DockerClient } from './client.ts'
import { followEvents } from './events.ts'

/** What the agent itself knows of a container. */
export type OwnKnowledge = {
  installation(): InstallationId | undefined
  /**
   * How the release of a container was made; undefined: the journal has lost it. `busy`: a run of the service is under
   * way, and what it does looks as if somebody did it by hand.
   */
  recordOf(owner: Ownership): ReleaseRecord | undefined | 'busy'
}

export type DockerWatch = ContainerWatch &
  ContainerEvents & {
    /** Something changed that is no event of Docker's: a run ended. */
    touch(): void
    /** Calls back each time that the engine answers after it was away, and at the first time. */
    onReturn(returned: () => void): void
    /** For the end of the process. */
    stop(): void
  }

export const createContainerWatch = (
  client: DockerClient,
  engine: Engine,
  clock: Clock,
  own: OwnKnowledge
): DockerWatch => {
  const changeListeners = new Set<() => void>()
  const returnListeners = new Set<() => void>()
  const eventListeners = new Set<(id: string) => void>()
  const stopped = new AbortController()
  const looks = new LookCache(engine)
  const tell = () => {
    for (const changed of changeListeners) changed()
  }
  let isFollowing = false
  const follow = () => {
    if (isFollowing) return
    isFollowing = true
    void followEvents(client, clock, stopped.signal, {
      opened: () => {
        looks.isFollowed = true
        looks.forgetAll()
        for (const returned of returnListeners) returned()
        tell()
      },
      happened: (id) => {
        for (const happened of eventListeners) happened(id)
        if (looks.forget(id)) tell()
      },
      closed: () => {
        looks.isFollowed = false
        tell()
      }
    })
  }
  return {
    list: async (how = 'changed') => {
      if (how === 'all') looks.forgetAll()
      return listOwn(engine, looks, own)
    },
    onChange: (changed) => {
      changeListeners.add(changed)
      follow()
      return () => changeListeners.delete(changed)
    },
    onEvent: (happened) => {
      eventListeners.add(happened)
      follow()
      return () => void eventListeners.delete(happened)
    },
    touch: tell,
    onReturn: (returned) => void returnListeners.add(returned),
    stop: () => stopped.abort()
  }
}

/** What inspect said of each of our containers, until something happens to it. */
class LookCache {
  /** Without the stream of events nothing that was seen before is believed. */
  isFollowed = false
  readonly #engine: Engine
  readonly #looks = new Map<string, Promise<ContainerLook | undefined>>()
  /** Seen on this host, and not ours: their events are nobody's business. */
  readonly #strangers = new Set<string>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** @returns false for a container that is known not to be ours */
  forget(id: string): boolean {
    this.#looks.delete(id)
    return !this.#strangers.has(id)
  }

  forgetAll(): void {
    this.#looks.clear()
  }

  /** @param seen all containers of the engine */
  keepOnly(seen: readonly SeenContainer[], isOwn: (one: SeenContainer) => boolean): void {
    const ids = new Set(seen.map((one) => one.id))
    for (const id of this.#looks.keys()) if (!ids.has(id)) this.#looks.delete(id)
    this.#strangers.clear()
    for (const one of seen) if (!isOwn(one)) this.#strangers.add(one.id)
  }

  async look(id: string): Promise<ContainerLook | undefined> {
    const known = this.isFollowed ? this.#looks.get(id) : undefined
    if (known !== undefined) return known
    const looking = this.#engine.inspectContainer(id)
    // Kept from its beginning: an event that comes before the answer makes it forgotten.
    this.#looks.set(id, looking)
    looking.catch(() => this.#looks.delete(id))
    return looking
  }
}

const listOwn = async (
  engine: Engine,
  cache: LookCache,
  { installation, recordOf }: OwnKnowledge
): Promise<InventoryContainer[]> => {
  const ours = installation()
  const isOwn = (one: SeenContainer) => one.owner !== null && one.owner.installation === ours
  const seen = await engine.listContainers()
  cache.keepOnly(seen, isOwn)
  const own = seen.filter(isOwn).slice(0, limits.maxInventoryContainers)
  const looks = await Promise.all(own.map((one) => cache.look(one.id)))
  return looks.flatMap((look) => (look === undefined ? [] : describe(look, own, recordOf)))
}

/**
 * Kept: down, while what came after it is up. Another replica of the same release that is up says nothing: then it is
 * down although it should serve.
 */
const isKept = (look: ContainerLook, own: readonly SeenContainer[]): boolean =>
  !isUp(look) && own.some((one) => one.id !== look.id && isUp(one) && isSuccessor(one.owner, look.owner))

const isSuccessor = (one: Ownership | null, of: Ownership | null): boolean =>
  one !== null &&
  of !== null &&
  one.purpose === 'serving' &&
  one.service === of.service &&
  one.environment === of.environment &&
  (one.release !== of.release || one.index === of.index)

const roleOf = (
  owner: Ownership,
  look: ContainerLook,
  own: readonly SeenContainer[]
): InventoryContainer['role'] => {
  if (owner.purpose !== 'serving') return owner.purpose
  return isKept(look, own) ? 'kept' : 'serving'
}

const changesOf = (owner: Ownership, look: ContainerLook, recordOf: OwnKnowledge['recordOf']): string[] => {
  const record = recordOf(owner)
  return record === 'busy' ? [] : changesByHand(look, record)
}

const describe = (
  look: ContainerLook,
  own: readonly SeenContainer[],
  recordOf: OwnKnowledge['recordOf']
): InventoryContainer[] => {
  if (look.owner === null) return []
  const role = roleOf(look.owner, look, own)
  const startedAtMs = Date.parse(look.startedAt)
  return [
    {
      id: look.id.slice(0, 12),
      name: look.name.slice(0, 255),
      environment: look.owner.environment,
      service: look.owner.service,
      release: look.owner.release,
      index: look.owner.index,
      deployment: look.owner.deployment,
      state: look.state,
      health: look.health,
      restartCount: look.restartCount,
      // A container that was never started has the year 1 here.
      startedAtMs: startedAtMs > 0 ? startedAtMs : null,
      exitCode: isUp(look) || look.state === 'created' ? null : look.exitCode,
      image: look.image.slice(0, 1024),
      isKept: role === 'kept',
      specHash: look.owner.specHash,
      role,
      changes: changesOf(look.owner, look, recordOf)
    }
  ]
}
