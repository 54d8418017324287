// Where HAProxy's traffic should go instead, after containers went away or came back without a run: never to one that
// is down while another one of the service runs. Pure; when to look is left to the agent's loop.
import type { InstallationId } from '@longshore/protocol'
import { type OwnContainer, ownContainers, type SeenContainer } from '../observation.ts'
import type { RoutedContainer, ServiceRoute } from './routes.ts'

/** @param routes of services for which no run is under way */
export const repairRoutes = (
  routes: readonly ServiceRoute[],
  containers: readonly SeenContainer[],
  installation: InstallationId
): ServiceRoute[] =>
  routes.flatMap((route) => {
    const wanted = containersFor(route, containers, installation)
    return wanted === null || isSameSet(wanted, route.containers) ? [] : [{ ...route, containers: wanted }]
  })

/**
 * Those of the release that has the traffic, as far as they run; when none does, those of the newest that do.
 * @returns null when nothing of the service runs: then its containers may come back at the addresses that they had
 */
const containersFor = (
  route: ServiceRoute,
  containers: readonly SeenContainer[],
  installation: InstallationId
): RoutedContainer[] | null => {
  const { environment, service } = route
  const own = ownContainers(containers, { installation, environment, service })
  const running = own.filter((one) => one.state === 'running' && one.ownAddress !== null)
  const routed = (one: OwnContainer) => route.containers.some(({ id }) => id === one.id)
  const served = own.find(routed)?.owner.release ?? null
  // One that has just come back gets traffic only once its health check says so.
  const ready = running.filter((one) => routed(one) || one.health === 'none' || one.health === 'healthy')
  const ofServed = ready.filter((one) => one.owner.release === served)
  // `ownContainers` has the newest first.
  const newest = ready.filter((one) => one.owner.release === ready[0]?.owner.release)
  const found = ofServed.length > 0 ? ofServed : newest
  if (found.length === 0) return null
  return found.flatMap(({ id, ownAddress }) => (ownAddress === null ? [] : [{ id, address: ownAddress }]))
}

const isSameSet = (a: readonly RoutedContainer[], b: readonly RoutedContainer[]): boolean =>
  a.length === b.length &&
  a.every((one) => b.some(({ id, address }) => id === one.id && address === one.address))
