// The traffic back to the containers that had it before, in the middle of a step: at once when one of those that have it
// now goes down. The run's own way back follows; when it was only the engine that restarted, they get it again.
import { isSameService } from '../core/proxy/conflicts.ts'
import type { ServiceRoute } from '../core/proxy/routes.ts'
import type { Routed } from '../core/steps.ts'
import type { Runtime } from '../ports.ts'
import { findContainer } from './containers.ts'

/** Neither rejects: what cannot be done here is done, or told, by the steps that follow. */
export type Fallback = {
  /** To the former containers as far as they run; nothing when none does. */
  take(): Promise<void>
  giveBack(): Promise<void>
  /** Whether the former containers have the traffic, or are about to. */
  isTaken(): boolean
}

export const createFallback = async (runtime: Runtime, former: Routed): Promise<Fallback> => {
  const { engine, proxy } = runtime
  const looks = await Promise.all(former.containers.map((ref) => findContainer(engine, ref)))
  const ids = looks.flatMap((look) => look?.id ?? [])
  let left: ServiceRoute | undefined
  let taking: Promise<void> | undefined

  const take = async (): Promise<void> => {
    const present = await Promise.all(ids.map((id) => engine.inspectContainer(id)))
    const containers = present.flatMap((look) =>
      look?.isRunning === true && look.ownAddress !== null ? [{ id: look.id, address: look.ownAddress }] : []
    )
    const now = proxy.routes().find((one) => isSameService(one, former.route))
    if (containers.length === 0 || now === undefined) return
    left = now
    await proxy.route({ ...former.route, containers })
  }
  return {
    isTaken: () => taking !== undefined,
    take: () => {
      taking ??= take().catch(() => undefined)
      return taking
    },
    giveBack: async () => {
      await taking
      taking = undefined
      if (left === undefined) return
      const route = left
      left = undefined
      await proxy.route(route).catch(() => undefined)
    }
  }
}
