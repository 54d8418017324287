// The plan of a stop-first switch: the new containers exist before an old one is stopped, so that an option
// which Docker rejects costs nothing; and what leads back from every point of it.
import { isUp, type Observation, ownContainers } from './observation.ts'
import { checkPortsStep, networkSteps, type Plan, type Served, type Task } from './plan.ts'
import { ownNetworkSteps, startFirst, waysTo } from './plan-start-first.ts'
import { type Prepared, prepareRelease, type ReleaseBody, ruleOf } from './prepare-release.ts'
import { byId, type Step } from './steps.ts'
import { portSpecsOf, routedNow, routedReleaseOf, serviceKeyOf, wantedRoute } from './traffic.ts'

/** Whether the host runs the pinned image with this very spec, in full number and not known to be unhealthy. */
export const isRunningExactly = (task: Task, body: ReleaseBody, seen: Observation): boolean => {
  const up = ownContainers(seen.containers, task.command).filter(isUp)
  return (
    up.length === body.spec.replicas &&
    up.length > 0 &&
    up.every(
      (one) =>
        one.owner.specHash === task.specHash &&
        one.image.endsWith(`@${body.image.digest}`) &&
        one.state === 'running' &&
        (one.health === 'none' || one.health === 'healthy')
    )
  )
}

/**
 * Nothing to change: the run only makes sure by the health rule that what runs is healthy, and that HAProxy sends it
 * the traffic that it should have.
 */
export const planUntouched = (task: Task, body: ReleaseBody, seen: Observation): Plan => {
  const up = ownContainers(seen.containers, task.command).filter(isUp)
  const served: Served = { serving: 'new', release: body.release }
  const containers = up.map(byId)
  const routed = routedReleaseOf(body.spec)
  const to = routed && { route: wantedRoute(task.command, routed), containers }
  return {
    kind: 'plan',
    steps: [
      ...(to === null ? [] : [{ kind: 'check-proxy' as const }]),
      { kind: 'await-healthy', containers, rule: ruleOf(body) },
      ...(to === null ? [] : [{ kind: 'switch-traffic' as const, to }])
    ],
    undo: [],
    before: served,
    after: served,
    record: null,
    isUntouched: true,
    warnings: []
  }
}

/** Checks, creates, stops, renames, starts, judges, watches; or beside what serves, as the spec asks. */
export const planRelease = (task: Task, body: ReleaseBody, seen: Observation, found: Served): Plan => {
  const prepared = prepareRelease(task, body, seen, found)
  if ('kind' in prepared) return prepared
  const { before, after, record } = prepared
  const steps =
    body.spec.routing === null
      ? stopFirst(task, body, seen, prepared)
      : startFirst(task, body, seen, prepared)
  return { kind: 'plan', ...steps, before, after, record, isUntouched: false, warnings: [] }
}

/** Ports that HAProxy holds for the service are let go right before the first container is stopped. */
const stopFirst = (
  task: Task,
  body: ReleaseBody,
  seen: Observation,
  prepared: Prepared
): { steps: Step[]; undo: Step[] } => {
  const { spec } = body
  const { refs, rule, renames, ways, serving, graces } = prepared
  const key = serviceKeyOf(task.command)
  const route = seen.traffic?.route ?? null
  const former = routedNow(key, serving, seen)
  return {
    steps: [
      checkPortsStep(task, body, seen),
      ...networkSteps(task, spec.networks),
      ...prepared.creates,
      ...(route === null
        ? []
        : [{ kind: 'close-ports' as const, service: key, ports: portSpecsOf(route.ports) }]),
      ...serving.map(
        (one): Step => ({ kind: 'retire-container', container: byId(one), graceMs: graces(one) })
      ),
      ...renames.forward,
      ...refs.map((container): Step => ({ kind: 'start-container', container, restart: spec.restart })),
      { kind: 'await-healthy', containers: refs, rule },
      { kind: 'monitor', containers: refs, rule, forMs: spec.update.monitorMs }
    ],
    undo: [
      ...refs.map(
        (container): Step => ({ kind: 'remove-container', container, graceMs: spec.stopGracePeriodMs })
      ),
      ...ways.flatMap(({ remake }) => remake),
      ...renames.back,
      ...(former === null ? [] : ownNetworkSteps(task, seen.traffic?.network.subnet ?? null)),
      ...ways.map(
        ({ ref, one }): Step => ({ kind: 'start-container', container: ref, restart: one.restart })
      ),
      ...ways.map(({ ref, rule }): Step => ({ kind: 'await-healthy', containers: [ref], rule })),
      ...(former === null ? [] : [{ kind: 'switch-traffic' as const, to: waysTo(former, ways) }])
    ]
  }
}
