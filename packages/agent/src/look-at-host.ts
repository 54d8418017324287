// What a run looks at before it plans: the engine's containers, and where HAProxy has to do with the service, the network
// of its containers too. What others have reserved is read last, in the tick in which the plan is made.
import {
  type Observation,
  ownContainers,
  type ReleaseRecord,
  type SeenContainer
} from './core/observation.ts'
import { type NetworkView, ownAddressIn, ownNetworkName, reservedBy } from './core/own-network.ts'
import { isSameService } from './core/proxy/conflicts.ts'
import type { RunState } from './core/run-state.ts'
import { routedReleaseOf } from './core/traffic.ts'
import type { RunsPorts } from './runs.ts'

/**
 * The whole engine, with restart policies where a plan may have to put them back.
 * @returns what completes the look: to be called in the same tick as the plan is made and written down
 */
export const lookAtHost = async (ports: RunsPorts, state: RunState): Promise<() => Observation> => {
  const { engine, journal } = ports
  const { command } = state.task
  const releases = journal.releases(command.environment, command.service)
  const strangers = new Set(releases.flatMap((one) => one.replaced?.id ?? []))
  const replace = 'replace' in command.body ? command.body.replace : null
  const needsPolicy = (one: SeenContainer): boolean =>
    ownContainers([one], command).length > 0 || one.name === replace || strangers.has(one.id)
  const subnets = hasTraffic(ports, state, releases) ? await lookAtSubnets(ports) : null
  const containers = await engine.listContainers(needsPolicy)
  return () => ({
    containers,
    releases,
    ...(subnets === null
      ? {}
      : {
          traffic: {
            route: ports.proxy.routes().find((one) => isSameService(one, command)) ?? null,
            network: networkView(ports, state, subnets, containers)
          }
        })
  })
}

/** Whether HAProxy brings the service traffic, or did, or is to. */
const hasTraffic = (
  { proxy }: RunsPorts,
  { task: { command } }: RunState,
  releases: readonly ReleaseRecord[]
): boolean => {
  const { body } = command
  const isWanted = 'spec' in body && body.kind !== 'run-once' && routedReleaseOf(body.spec) !== null
  return (
    isWanted ||
    releases.some((one) => one.routed) ||
    proxy.routes().some((one) => isSameService(one, command))
  )
}

type Subnets = Pick<NetworkView, 'subnet' | 'occupied'>

const lookAtSubnets = async ({ engine, host }: RunsPorts): Promise<Subnets> => {
  const [networks, routes] = await Promise.all([engine.listNetworks(), host.routes()])
  const own = networks.find((one) => one.name === ownNetworkName)
  const others = networks.filter((one) => one !== own).flatMap((one) => one.subnets)
  return { subnet: own?.subnets[0] ?? null, occupied: [...others, ...routes] }
}

const networkView = (
  { journal, proxy, ownSubnets }: RunsPorts,
  state: RunState,
  { subnet, occupied }: Subnets,
  containers: readonly SeenContainer[]
): NetworkView => {
  const others = journal.openRuns().filter((one) => one.task.command.id !== state.task.command.id)
  const reserved = others.map((one) => reservedBy([...one.steps, ...one.undo]))
  const planned = reserved.find((one) => one.subnet !== null)?.subnet ?? null
  const records = journal.allReleases().flatMap((one) => one.containers)
  return {
    subnet: subnet ?? planned,
    candidates: ownSubnets,
    occupied,
    taken: [
      ...containers.flatMap((one) => one.ownAddress ?? []),
      ...reserved.flatMap((one) => one.addresses),
      ...proxy.routes().flatMap((route) => route.containers.map(({ address }) => address))
    ],
    kept: records.flatMap(({ request }) => ownAddressIn(request) ?? [])
  }
}
