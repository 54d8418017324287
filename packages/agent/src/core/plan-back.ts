// The plans that lead back or tidy up: `revert` to the previous release, `settle` what was kept for a revert,
// `remove` the service. None of them depends on a kept container: the journal has what re-creates it.
import type { Command } from '@longshore/protocol'
import { ownTag } from './image-match.ts'
import {
  helperContainers,
  isUp,
  type Observation,
  type OwnContainer,
  ownContainers,
  type ReleaseRecord,
  type RestartPolicy
} from './observation.ts'
import type { Plan, Served, Task } from './plan.ts'
import { FreeNames, graceOf } from './plan-release.ts'
import { reownRequest } from './release-record.ts'
import { byId, type ContainerRef, type Step } from './steps.ts'

type RevertBody = Extract<Command['body'], { kind: 'revert' }>
type SettleBody = Extract<Command['body'], { kind: 'settle' }>
type RemoveBody = Extract<Command['body'], { kind: 'remove' }>
type Own = OwnContainer

/** What serves again at one index: a container that exists, or one to make. */
type Comeback = { ref: ContainerRef; restart: RestartPolicy; create: Step[]; isUp: boolean }

/** Creates what is missing, stops `from`, starts `to`, judges it, removes `from`. */
export const planRevert = (task: Task, body: RevertBody, seen: Observation): Plan => {
  const own = ownContainers(seen.containers, task.command)
  const isFrom = (one: Own) =>
    one.owner.release === body.from &&
    (body.from !== body.to || one.owner.deployment === task.command.deployment)
  const from = own.filter(isFrom)
  const to = own.filter((one) => one.owner.release === body.to && !isFrom(one))
  const up = own.filter((one) => isUp(one) && !to.includes(one))
  const before = servedByRevert(body, up, to)
  const record = seen.releases.find((one) => one.release === body.to)
  const names = new FreeNames(seen)
  const comebacks = planComebacks(task, to, record, names)
  if (comebacks === null) {
    const detail = `neither kept containers nor the journal have release ${body.to} in full`
    return { kind: 'refusal', code: 'nothing-to-revert-to', detail, before }
  }
  const grace = graceOf(seen)
  const creates = comebacks.flatMap((one) => one.create)
  return {
    kind: 'plan',
    steps: [
      ...creates,
      ...up.map((one): Step => ({ kind: 'retire-container', container: byId(one), graceMs: grace(one) })),
      ...renameBack(task, record, seen, comebacks, names),
      ...comebacks.map(({ ref, restart }): Step => ({ kind: 'start-container', container: ref, restart })),
      {
        kind: 'await-healthy',
        containers: comebacks.map((one) => one.ref),
        rule: record?.rule ?? { probe: null, timeoutMs: null }
      },
      ...from.map((one): Step => ({ kind: 'remove-container', container: byId(one), graceMs: grace(one) }))
    ],
    undo: comebacks
      .filter((one) => one.create.length > 0)
      .map(({ ref }): Step => ({ kind: 'remove-container', container: ref, graceMs: 0 })),
    before,
    after: comebacks.length === 0 ? { serving: 'none', release: null } : { serving: 'old', release: body.to },
    record: null,
    isUntouched: false,
    warnings: []
  }
}

const servedByRevert = (body: RevertBody, up: readonly Own[], to: readonly Own[]): Served => {
  if (up.some((one) => one.owner.release === body.from)) return { serving: 'new', release: body.from }
  if (to.some(isUp)) return { serving: 'old', release: body.to }
  return { serving: 'none', release: null }
}

/** @returns null when some container of the release neither exists nor can be made */
const planComebacks = (
  task: Task,
  to: readonly Own[],
  record: ReleaseRecord | undefined,
  names: FreeNames
): Comeback[] | null => {
  const indexes = record?.containers.map((one) => one.index) ?? [...new Set(to.map((one) => one.owner.index))]
  if (indexes.length === 0 && record === undefined) return null
  const comebacks = indexes.map((index): Comeback | null => {
    const stored = record?.containers.find((one) => one.index === index)
    const candidates = to.filter((one) => one.owner.index === index && one.state !== 'dead')
    const existing = candidates.find(isUp) ?? candidates[0]
    if (existing !== undefined) {
      const restart = stored?.restart ?? existing.owner.restart ?? existing.restart
      return { ref: byId(existing), restart, create: [], isUp: isUp(existing) }
    }
    // Without a record, what Docker calls dead is all that is left of it.
    return stored === undefined ? null : remake(task, stored, names)
  })
  return comebacks.every((one) => one !== null) ? comebacks : null
}

const remake = (task: Task, stored: ReleaseRecord['containers'][number], names: FreeNames): Comeback => {
  const { command } = task
  const { owner, request } = reownRequest(stored, command)
  const name = names.take(`${command.service}-r${owner.release}-${stored.index}`)
  return {
    ref: { by: 'command', command: command.id, release: owner.release, index: stored.index },
    restart: stored.restart,
    create: [{ kind: 'create-container', name, owner, request }],
    isUp: false
  }
}

const renameBack = (
  task: Task,
  record: ReleaseRecord | undefined,
  seen: Observation,
  comebacks: readonly Comeback[],
  names: FreeNames
): Step[] => {
  const name = record?.containerName ?? null
  const [first] = comebacks
  if (name === null || first === undefined) return []
  const holder = seen.containers.find((one) => one.name === name)
  if (holder !== undefined && first.ref.by === 'id' && first.ref.id === holder.id) return []
  const isOurs = holder !== undefined && ownContainers([holder], task.command).length > 0
  const giveUp: Step[] = isOurs
    ? [
        {
          kind: 'rename-container',
          container: byId(holder),
          name: names.take(`${task.command.service}-r${holder.owner?.release}-${holder.owner?.index}`)
        }
      ]
    : []
  return [...giveUp, { kind: 'rename-container', container: first.ref, name }]
}

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
        ? [{ kind: 'remove-container' as const, container: byId(replaced.seen), graceMs: 10_000 }]
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
  const rest = own.find((one) => isUp(one) && !doomed.includes(one))
  const up = own.find(isUp)
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

const findReplaced = (seen: Observation, release: number) => {
  const record = seen.releases.find((one) => one.release === release)?.replaced ?? null
  const found = record === null ? undefined : seen.containers.find((one) => one.id === record.id)
  return record === null || found === undefined ? undefined : { record, seen: found }
}
