// Our containers as Docker shows them now, and a call back when something about them changed: the event stream
// of the engine, opened again whenever it ends.
import type { InstallationId, InventoryContainer } from '@longshore/protocol'
import { limits } from '@longshore/protocol'
import { isUp, type SeenContainer } from '../../core/observation.ts'
import type { Clock, ContainerLook, ContainerWatch, Engine } from '../../ports.ts'
import type { DockerClient } from './client.ts'

/** An engine that went away is asked again at this pace. */
const reopenAfterMs = 1_000

/** @returns the watch, and `stop` for the end of the process */
export const createContainerWatch = (
  client: DockerClient,
  engine: Engine,
  clock: Clock,
  installation: () => InstallationId | undefined
): ContainerWatch & { stop(): void } => {
  const listeners = new Set<() => void>()
  const stopped = new AbortController()
  const tell = () => {
    for (const changed of listeners) changed()
  }
  let isFollowing = false
  const follow = () => {
    if (isFollowing) return
    isFollowing = true
    void followEvents(client, clock, stopped.signal, tell)
  }
  return {
    list: async () => listOwn(engine, installation()),
    onChange: (changed) => {
      listeners.add(changed)
      follow()
      return () => listeners.delete(changed)
    },
    stop: () => stopped.abort()
  }
}

const listOwn = async (
  engine: Engine,
  installation: InstallationId | undefined
): Promise<InventoryContainer[]> => {
  const isOwn = (one: SeenContainer) => one.owner !== null && one.owner.installation === installation
  const own = (await engine.listContainers()).filter(isOwn).slice(0, limits.maxInventoryContainers)
  const looks = await Promise.all(own.map((one) => engine.inspectContainer(one.id)))
  return looks.flatMap((look) => (look === undefined ? [] : describe(look, own)))
}

/** Kept: down, while another container of the same service is up. */
const isKept = (look: ContainerLook, own: readonly SeenContainer[]): boolean =>
  !isUp(look) &&
  own.some(
    (one) =>
      one.id !== look.id &&
      isUp(one) &&
      one.owner?.service === look.owner?.service &&
      one.owner?.environment === look.owner?.environment
  )

const describe = (look: ContainerLook, own: readonly SeenContainer[]): InventoryContainer[] => {
  if (look.owner === null) return []
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
      isKept: isKept(look, own),
      specHash: look.owner.specHash,
      role: isKept(look, own) ? 'kept' : 'serving',
      changes: []
    }
  ]
}

const followEvents = async (
  client: DockerClient,
  clock: Clock,
  signal: AbortSignal,
  tell: () => void
): Promise<void> => {
  const filters = JSON.stringify({ type: ['container'], label: ['longshore.installation'] })
  while (!signal.aborted) {
    try {
      // An engine that was upgraded meanwhile may have ended the version that was spoken before.
      await client.negotiate()
      const request = { method: 'GET', path: '/events', query: { filters }, subject: 'engine' } as const
      const stream = await client.open(request, signal)
      tell()
      for await (const _event of stream) tell()
    } catch {
      // Told below like an ordinary end: what matters is that the engine is not there.
    }
    if (signal.aborted) return
    tell()
    await new Promise<void>((resolve) => {
      clock.after(reopenAfterMs, resolve)
    })
  }
}
