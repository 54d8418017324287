// The plans that tidy up: `settle` what was kept for a revert, `remove` the service. What leads back to an earlier
// release is plan-revert.ts.
import type { Command } from '@longshore/protocol'
import { ownTag } from './image-match.ts'
import { helperContainers, isUp, type Observation, type OwnContainer, ownContainers } from './observation.ts'
import type { Plan, Served, Task } from './plan.ts'
import { graceOf } from './prepare-release.ts'
import { byId, type Step } from './steps.ts'
import { answeringContainers, portSpecsOf, routedNow, serviceKeyOf } from './traffic.ts'

type SettleBody = Extract<Command['body'], { kind: 'settle' }>
type RemoveBody = Extract<Command['body'], { kind: 'remove' }>
type Own = OwnContainer

/** Removes every stopped container of the service but those of the release, and images beyond `keepImages`. */
export const planSettle = (task: Task, body: SettleBody, seen: Observation): Plan => {
  const { command } = task
  const own = ownContainers(seen.containers, command)
  const current = own.filter((one) => one.owner.release === body.release)
  const serving = [
    ...current.filter(isUp),
    ...newestPerIndex(current.filter((one) => !hasUpTwin(one, current)))
  ]
  const kept = [
    ...own.filter((one) => !isUp(one) && !serving.includes(one)),
    ...helperContainers(seen.containers, command).filter(isLeftOver)
  ]
  const strays = own.filter((one) => isUp(one) && !serving.includes(one))
  const replaced = findReplaced(seen, body.release)
  const grace = graceOf(seen)
  const served: Served = current.some(isUp)
    ? { serving: 'new', release: body.release }
    : { serving: strays.length > 0 ? 'old' : 'none', release: strays[0]?.owner.release ?? null }
  return {
    kind: 'plan',
    steps: [
      ...kept.map((one): Step => ({ kind: 'remove-container', container: byId(one), graceMs: grace(one) })),
      ...(replaced !== undefined && !isUp(replaced.seen)
        ? [
            {
              kind: 'remove-container' as const,
              container: byId(replaced.seen),
              graceMs: 10_000,
              // what it has stored was not Longshore's to make, and may be nowhere else
              keepsVolumes: true as const
            }
          ]
        : []),
      {
        kind: 'prune-images',
        repository: ownTag(command.service, command.environment, body.release).repository,
        environment: command.environment,
        release: body.release,
        keepImages: body.keepImages
      }
    ],
    undo: [],
    before: served,
    after: served,
    record: null,
    isUntouched: false,
    warnings: strays.map((one) => `${one.name} of release ${one.owner.release} still runs and was left alone`)
  }
}

/** Whether another container serves at the same index: this one was replaced by `recreate`. */
const hasUpTwin = (one: Own, own: readonly Own[]): boolean =>
  own.some((other) => other.owner.index === one.owner.index && isUp(other))

/** No run of the service is under way beside this one: what still is there, a crash or an engine left behind. */
const isLeftOver = (one: Own): boolean => one.owner.purpose === 'rehearsal' || !isUp(one)

/** `own` is newest first, so that the first container of an index is the one that served last. */
const newestPerIndex = (own: readonly Own[]): Own[] =>
  own.filter((one, at) => own.findIndex((other) => other.owner.index === one.owner.index) === at)

/**
 * Removes own containers only; what the removed release had taken over serves again. All of the service are those
 * of commands and rehearsals as well.
 */
export const planRemove = (task: Task, body: RemoveBody, seen: Observation): Plan => {
  const own = ownContainers(seen.containers, task.command)
  const helpers = body.release === null ? helperContainers(seen.containers, task.command) : []
  const { containers } = body
  const doomed = [...own, ...helpers].filter(
    (one) =>
      (body.release === null || one.owner.release === body.release) &&
      (containers === null || containers.some((id) => one.id.startsWith(id)))
  )
  const rests = own.filter((one) => isUp(one) && !doomed.includes(one))
  const rest = rests[0]
  const [up] = answeringContainers(seen, task.command)
  const replaced = body.release === null ? undefined : findReplaced(seen, body.release)
  const grace = graceOf(seen)
  const comeback: Step[] =
    replaced === undefined || rest !== undefined
      ? []
      : [
          { kind: 'rename-container', container: byId(replaced.seen), name: replaced.record.name },
          { kind: 'start-container', container: byId(replaced.seen), restart: replaced.record.restart },
          { kind: 'await-healthy', containers: [byId(replaced.seen)], rule: { probe: null, timeoutMs: null } }
        ]
  const after: Served =
    rest !== undefined
      ? { serving: 'old', release: rest.owner.release }
      : { serving: comeback.length > 0 ? 'old' : 'none', release: null }
  return {
    kind: 'plan',
    steps: [
      ...giveTrafficAway(task, doomed, rests, seen),
      ...doomed.map((one): Step => ({ kind: 'remove-container', container: byId(one), graceMs: grace(one) })),
      ...comeback
    ],
    undo: [],
    before: up === undefined ? after : { serving: 'new', release: up.owner.release },
    after,
    record: null,
    isUntouched: false,
    warnings: []
  }
}

/** To the containers that stay, or nowhere; what the others have begun they may end. */
const giveTrafficAway = (
  task: Task,
  doomed: readonly Own[],
  rests: readonly Own[],
  seen: Observation
): Step[] => {
  const route = seen.traffic?.route ?? null
  const leaving = routedNow(task.command, doomed, seen)
  const isLast = rests.length === 0
  if (route === null || (leaving === null && !isLast)) return []
  const staying = routedNow(task.command, rests, seen)
  const service = serviceKeyOf(task.command)
  return [
    staying === null
      ? { kind: 'close-ports', service, ports: portSpecsOf(route.ports) }
      : { kind: 'switch-traffic', to: staying.to },
    ...(leaving === null
      ? []
      : [
          {
            kind: 'drain-containers' as const,
            service,
            containers: leaving.to.containers,
            timeoutMs: leaving.drainTimeoutMs,
            watch: null
          }
        ])
  ]
}

const findReplaced = (seen: Observation, release: number) => {
  const record = seen.releases.find((one) => one.release === release)?.replaced ?? null
  const found = record === null ? undefined : seen.containers.find((one) => one.id === record.id)
  return record === null || found === undefined ? undefined : { record, seen: found }
}
