// The plan of a stop-first switch: the new containers exist before an old one is stopped, so that an option
// which Docker rejects costs nothing; and what leads back from every point of it.
import type { Command } from '@longshore/protocol'
import {
  type HealthRule,
  isUp,
  type Observation,
  ownContainers,
  type Purpose,
  type ReleaseRecord,
  type RestartPolicy,
  type SeenContainer
} from './observation.ts'
import { networkSteps, type Plan, portGivers, type Served, type Task } from './plan.ts'
import { ownershipOf, ownRequest, reownRequest } from './release-record.ts'
import { byId, type ContainerRef, type MadeRef, type Step } from './steps.ts'

type ReleaseBody = Pick<
  Extract<Command['body'], { kind: 'release' | 'plan' }>,
  'release' | 'image' | 'spec' | 'replace'
>

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

/** Nothing to change: the run only makes sure by the health rule that what runs is healthy. */
export const planUntouched = (task: Task, body: ReleaseBody, seen: Observation): Plan => {
  const up = ownContainers(seen.containers, task.command).filter(isUp)
  const served: Served = { serving: 'new', release: body.release }
  return {
    kind: 'plan',
    steps: [{ kind: 'await-healthy', containers: up.map(byId), rule: ruleOf(body) }],
    undo: [],
    before: served,
    after: served,
    record: null,
    isUntouched: true,
    warnings: []
  }
}

/** @returns why the spec's fixed container name cannot be taken, or null */
export const refuseName = (task: Task, body: ReleaseBody, seen: Observation): string | null => {
  const name = body.spec.containerName
  if (name === null) return null
  const holder = seen.containers.find((one) => one.name === name)
  if (holder === undefined) return null
  const isGiven = portGivers(task, body.replace, seen).some((one) => one.id === holder.id)
  return isGiven ? null : `the container name ${name} is taken by a container that Longshore does not manage`
}

/** Checks, creates, stops, renames, starts, judges, watches. */
export const planRelease = (task: Task, body: ReleaseBody, seen: Observation, found: Served): Plan => {
  const { command } = task
  const { spec } = body
  const replaced = seen.containers.find((one) => one.owner === null && one.name === body.replace)
  const before: Served =
    replaced !== undefined && isUp(replaced) && found.serving === 'none'
      ? { serving: 'old', release: null }
      : { ...found, serving: found.serving === 'none' ? 'none' : 'old' }
  const taken = refuseName(task, body, seen)
  if (taken !== null) return { kind: 'refusal', code: 'name-taken', detail: taken, before }
  const own = ownContainers(seen.containers, command).filter((one) => one.owner.command !== command.id)
  const serving = [
    ...own.filter(isServing),
    ...(replaced !== undefined && isServing(replaced) ? [replaced] : [])
  ]
  const names = new FreeNames(seen)
  const made = Array.from({ length: spec.replicas }, (_, index) => makeContainer(task, body, index, names))
  const refs = made.map(({ ref }) => ref)
  const rule = ruleOf(body)
  const renames = planRenames(task, body, seen, refs, names)
  const graces = graceOf(seen)
  const ways = serving.map((one) => wayBack(task, one, seen, names))
  return {
    kind: 'plan',
    steps: [
      {
        kind: 'check-ports',
        ports: spec.ports,
        allowed: portGivers(task, body.replace, seen).map((one) => one.id)
      },
      ...networkSteps(task, spec.networks),
      ...made.map(({ step }) => step),
      ...serving.map(
        (one): Step => ({ kind: 'retire-container', container: byId(one), graceMs: graces(one) })
      ),
      ...renames.forward,
      ...made.map(({ ref, restart }): Step => ({ kind: 'start-container', container: ref, restart })),
      { kind: 'await-healthy', containers: refs, rule },
      { kind: 'monitor', containers: refs, rule, forMs: spec.update.monitorMs }
    ],
    undo: [
      ...refs.map(
        (container): Step => ({ kind: 'remove-container', container, graceMs: spec.stopGracePeriodMs })
      ),
      ...ways.flatMap(({ remake }) => remake),
      ...renames.back,
      ...ways.map(
        ({ ref, one }): Step => ({ kind: 'start-container', container: ref, restart: one.restart })
      ),
      ...ways.map(({ ref, rule }): Step => ({ kind: 'await-healthy', containers: [ref], rule }))
    ],
    before,
    after:
      spec.replicas === 0 ? { serving: 'none', release: null } : { serving: 'new', release: body.release },
    record: recordOf(task, body, made, replaced),
    isUntouched: false,
    warnings: []
  }
}

/** Runs, or is down although its policy says that it should run. */
const isServing = (one: SeenContainer): boolean =>
  isUp(one) || (one.state === 'exited' && one.restart.name !== 'no')

export const ruleOf = (body: Pick<ReleaseBody, 'spec'>): HealthRule => ({
  probe: body.spec.probe,
  timeoutMs: body.spec.healthyTimeoutMs
})

type Made = ReturnType<typeof makeContainer>

const makeContainer = (task: Task, body: ReleaseBody, index: number, names: FreeNames) => {
  const name = names.take(`${task.command.service}-r${body.release}-${index}`)
  const { restart } = body.spec
  return { index, restart, ...containerOf(task, body.release, index, { name, purpose: 'serving', restart }) }
}

/** The container of a command at one index, before it is made. */
export const containerOf = (
  { command, requests, specHash }: Task,
  release: number,
  index: number,
  { name, purpose, restart }: { name: string; purpose: Purpose; restart: RestartPolicy }
) => {
  const base = requests[index]
  if (base === undefined) throw new RangeError(`task without a create request for container ${index}`)
  const owner = ownershipOf(command, release, index, { specHash, purpose, restart })
  const request = ownRequest(base, owner)
  const ref: MadeRef = { by: 'command', command: command.id, release, index }
  const step: Step = { kind: 'create-container', name, owner, request }
  return { ref, step, request }
}

/** The fixed name moves from its holder to the new container, and back at the undo. */
const planRenames = (
  task: Task,
  body: ReleaseBody,
  seen: Observation,
  refs: ContainerRef[],
  names: FreeNames
): { forward: Step[]; back: Step[] } => {
  const name = body.spec.containerName
  const [first] = refs
  if (name === null || first === undefined) return { forward: [], back: [] }
  const holder = seen.containers.find((one) => one.name === name)
  const takeIt: Step = { kind: 'rename-container', container: first, name }
  if (holder === undefined || holder.owner?.command === task.command.id)
    return { forward: [takeIt], back: [] }
  const aside = names.take(
    holder.owner === null
      ? `${task.command.service}-r${body.release}-replaced`
      : `${task.command.service}-r${holder.owner.release}-${holder.owner.index}`
  )
  const giveUp: Step = { kind: 'rename-container', container: byId(holder), name: aside }
  return { forward: [giveUp, takeIt], back: [{ ...giveUp, name }] }
}

type WayBack = { one: SeenContainer; ref: ContainerRef; remake: Step[]; rule: HealthRule }

/** How an old container serves again: judged by its own release's rule, and made anew if somebody removed it. */
const wayBack = (task: Task, one: SeenContainer, seen: Observation, names: FreeNames): WayBack => {
  const record = recordFor(one, seen)
  const stored = record?.containers.find(({ index }) => index === one.owner?.index)
  const rule = record?.rule ?? { probe: null, timeoutMs: null }
  if (stored === undefined) return { one, ref: byId(one), remake: [], rule }
  const { owner, request } = reownRequest(stored, task.command)
  const { command, release, index } = owner
  const ref: ContainerRef = { ...byId(one), remade: { by: 'command', command, release, index } }
  const name = names.take(`${owner.service}-r${release}-${index}`)
  return { one, ref, remake: [{ kind: 'remake-container', container: ref, name, owner, request }], rule }
}

/** Grace of a container's own release; Docker's 10 s for strangers. */
export const graceOf =
  (seen: Observation) =>
  (one: SeenContainer): number =>
    recordFor(one, seen)?.graceMs ?? 10_000

const recordFor = (one: SeenContainer, seen: Observation): ReleaseRecord | undefined =>
  seen.releases.find((record) => record.release === one.owner?.release)

const recordOf = (
  task: Task,
  body: ReleaseBody,
  made: readonly Made[],
  replaced: SeenContainer | undefined
): ReleaseRecord => ({
  environment: task.command.environment,
  service: task.command.service,
  release: body.release,
  containers: made.map(({ index, request, restart }) => ({ index, request, restart })),
  containerName: body.spec.containerName,
  rule: ruleOf(body),
  graceMs: body.spec.stopGracePeriodMs,
  replaced:
    replaced === undefined ? null : { id: replaced.id, name: replaced.name, restart: replaced.restart }
})

/** Names that no container of the host has: a kept container of the same release may still carry the plain one. */
export class FreeNames {
  readonly #taken: Set<string>

  constructor(seen: Observation) {
    this.#taken = new Set(seen.containers.map((one) => one.name))
  }

  take(wanted: string): string {
    let name = wanted
    for (let number = 2; this.#taken.has(name); number += 1) name = `${wanted}-${number}`
    this.#taken.add(name)
    return name
  }
}
