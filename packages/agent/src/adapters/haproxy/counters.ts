// Counts of requests and errors over all that HAProxy was since the agent began: of each worker, those that a reload
// replaced too, the last ones are remembered.
import type { StatRow } from '../../core/proxy/answers.ts'
import { isSameService } from '../../core/proxy/conflicts.ts'
import {
  type CountMemory,
  figuresOf,
  foldServer,
  foldWorkers,
  rememberCounts
} from '../../core/proxy/figures.ts'
import type { ServiceRoute } from '../../core/proxy/routes.ts'
import type { RouteFigures } from '../../ports.ts'
import type { ProxyFiles } from './files.ts'
import { look, lookAtOldWorkers, type ProxyLook } from './talk.ts'

/** Containers remembered of one service: what is deployed now, before, and what is being compared. */
const maxContainers = 50

export const createCounters = (files: ProxyFiles) => {
  const memory: CountMemory = new Map()
  let met: { route: ServiceRoute; ids: string[] }[] = []

  const lookAtAll = async (): Promise<StatRow[][]> => {
    const seen = await look(files)
    if (seen === undefined) return []
    const workers = [
      { name: nameOf(seen), rows: seen.rows },
      ...(await lookAtOldWorkers(files)).map(({ socket, pid, rows }) => ({ name: `${socket} ${pid}`, rows }))
    ]
    for (const { name, rows } of workers) rememberCounts(memory, name, rows)
    foldWorkers(
      memory,
      workers.map(({ name }) => name)
    )
    return workers.map(({ rows }) => rows)
  }
  const idsOf = (route: ServiceRoute): string[] => {
    const known = met.find((one) => isSameService(one.route, route))?.ids ?? []
    return [...new Set([...route.containers.map(({ id }) => id), ...known])]
  }
  return {
    remember: async (): Promise<void> => void (await lookAtAll()),
    note: (seen: ProxyLook): void => rememberCounts(memory, nameOf(seen), seen.rows),
    /** Before their servers' names may come again. */
    noteDeleted: (seen: ProxyLook, deleted: readonly StatRow[]): void => {
      for (const { proxy, server } of deleted) foldServer(memory, nameOf(seen), proxy, server)
    },
    /** The containers of the route count by their full ids from now on. */
    meet: (route: ServiceRoute): void => {
      const ids = idsOf(route).slice(0, maxContainers)
      met = [...met.filter((one) => !isSameService(one.route, route)), { route, ids }]
    },
    figures: async (routes: readonly ServiceRoute[]): Promise<RouteFigures[]> => {
      const seen = await lookAtAll()
      return routes.map(({ environment, service, ...route }) =>
        figuresOf({ environment, service }, idsOf({ environment, service, ...route }), memory, seen)
      )
    }
  }
}

const nameOf = ({ identity }: ProxyLook): string => `current ${identity.pid}`
