// The steps of a start-first switch: the new containers run beside the old ones and are healthy before the traffic
// moves; the old ones keep what they have begun, and run without traffic until the new ones have been watched. Only a
// port that a container holds itself has to be given up first, which is the one gap there is.

import type { Observation, SeenContainer } from './observation.ts'
import { ownNetworkName } from './own-network.ts'
import { checkPortsStep, networkSteps, type Task } from './plan.ts'
import type { Prepared, ReleaseBody, WayBack } from './prepare-release.ts'
import type { ServiceKey } from './proxy/routes.ts'
import { byId, type Routed, type Step } from './steps.ts'
import { briefDrainMs, portSpecsOf, publishesPort, routedNow, serviceKeyOf, wantedRoute } from './traffic.ts'

type Former = ReturnType<typeof routedNow>

export const startFirst = (
  task: Task,
  body: ReleaseBody,
  seen: Observation,
  prepared: Prepared
): { steps: Step[]; undo: Step[] } => {
  const { spec } = body
  const { serving, refs, rule, graces, renames } = prepared
  const former = routedNow(task.command, serving, seen)
  const holders = findHolders(prepared, serving)
  const beside = serving.filter((one) => !holders.includes(one))
  const retire = beside.map(
    (one): Step => ({ kind: 'retire-container', container: byId(one), graceMs: graces(one) })
  )
  const isKeptRunning = spec.routing?.keep !== 'stopped'
  const fallback = isKeptRunning && holders.length === 0 && former !== null ? { fallback: former.to } : {}
  return {
    steps: [
      ...(prepared.routed === null ? [] : [{ kind: 'check-proxy' as const }]),
      checkPortsStep(task, body, seen),
      ...networkSteps(task, spec.networks),
      ...ownNetworkSteps(task, prepared.subnet),
      ...prepared.creates,
      ...refs.map((container): Step => ({ kind: 'start-container', container, restart: spec.restart })),
      { kind: 'await-healthy', containers: refs, rule },
      ...moveSteps(task, body, prepared, { former, holders }),
      ...(isKeptRunning ? [] : retire),
      ...renames.forward,
      { kind: 'monitor', containers: refs, rule, forMs: spec.update.monitorMs, ...fallback },
      ...(isKeptRunning ? retire : [])
    ],
    undo: undoSteps(task, body, prepared, { former, holders })
  }
}

/** The agent's own network, where it is needed. */
export const ownNetworkSteps = (task: Task, subnet: string | null): Step[] => {
  const labels = { 'longshore.installation': task.command.installation }
  return subnet === null ? [] : [{ kind: 'create-own-network', name: ownNetworkName, subnet, labels }]
}

/** Containers that hold a port which HAProxy is to hold. */
export const findHolders = (
  { routed }: Pick<Prepared, 'routed'>,
  containers: readonly SeenContainer[]
): SeenContainer[] => {
  const ports = portSpecsOf(routed?.ports ?? [])
  return containers.filter((one) => ports.some((port) => publishesPort(one, port)))
}

type Move = { former: Former; holders: readonly SeenContainer[] }

/** From healthy containers without traffic to healthy containers with all of it. */
const moveSteps = (task: Task, body: ReleaseBody, prepared: Prepared, { former, holders }: Move): Step[] => {
  const { routed, refs, rule, graces } = prepared
  if (routed === null) return []
  const { command } = task
  const service = serviceKeyOf(command)
  const to: Routed = { route: wantedRoute(command, routed), containers: refs }
  const maxErrorRatio = body.canaryMaxErrorRatio ?? null
  const isCompared = maxErrorRatio !== null && former !== null && holders.length === 0 && refs.length > 0
  const share: Step[] = isCompared
    ? [
        {
          kind: 'share-traffic',
          to,
          former: former.to,
          rule,
          forMs: body.spec.update.monitorMs,
          maxErrorRatio
        }
      ]
    : []
  const isWatched = former !== null && holders.length === 0 && refs.length > 0
  const watch = isWatched ? { containers: refs, rule, fallback: former.to } : null
  const drain = drainFormer(service, former, watch)
  return [...share, moveStep(to, holders, graces), ...drain]
}

/** What had the traffic ends what it has begun. */
export const drainFormer = (
  service: ServiceKey,
  former: Former,
  watch: Extract<Step, { kind: 'drain-containers' }>['watch']
): Step[] =>
  former === null
    ? []
    : [
        {
          kind: 'drain-containers',
          service,
          containers: former.to.containers,
          timeoutMs: former.drainTimeoutMs,
          watch
        }
      ]

/** Nobody holds the ports for a service without containers. */
export const moveStep = (
  to: Routed,
  holders: readonly SeenContainer[],
  graces: (one: SeenContainer) => number
): Step => {
  if (to.containers.length === 0)
    return { kind: 'close-ports', service: serviceKeyOf(to.route), ports: portSpecsOf(to.route.ports) }
  if (holders.length === 0) return { kind: 'switch-traffic', to }
  const stopped = holders.map((one) => ({ container: byId(one), graceMs: graces(one) }))
  return { kind: 'take-over-ports', to, holders: stopped }
}

/** Back to the old ones at once where they run; HAProxy lets ports go first that an old container holds itself. */
const undoSteps = (task: Task, body: ReleaseBody, prepared: Prepared, { former, holders }: Move): Step[] => {
  const { routed, refs, ways, renames } = prepared
  const service = serviceKeyOf(task.command)
  const close: Step[] =
    routed === null ? [] : [{ kind: 'close-ports', service, ports: portSpecsOf(routed.ports) }]
  const giveBack: Step[] = former === null ? [] : [{ kind: 'switch-traffic', to: waysTo(former, ways) }]
  const drain: Step[] =
    former === null || refs.length === 0
      ? []
      : [{ kind: 'drain-containers', service, containers: refs, timeoutMs: briefDrainMs, watch: null }]
  return [
    ...(holders.length > 0 ? close : []),
    ...ways.flatMap(({ remake }) => remake),
    // Without a running container on it, it may have been pruned.
    ...(former === null ? [] : ownNetworkSteps(task, prepared.subnet)),
    ...ways.map(({ ref, one }): Step => ({ kind: 'start-container', container: ref, restart: one.restart })),
    ...ways.map(({ ref, rule }): Step => ({ kind: 'await-healthy', containers: [ref], rule })),
    ...(holders.length === 0 && former === null ? close : giveBack),
    ...drain,
    ...refs.map(
      (container): Step => ({
        kind: 'remove-container',
        container,
        graceMs: body.spec.stopGracePeriodMs
      })
    ),
    ...renames.back
  ]
}

/** Where the traffic was, also when one of the containers has to be made again. */
export const waysTo = ({ to, ids }: NonNullable<Former>, ways: readonly WayBack[]): Routed => ({
  route: to.route,
  containers: ways.flatMap(({ one, ref }) => (ids.has(one.id) ? [ref] : []))
})
