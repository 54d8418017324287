// What every release begins with, however it moves the traffic: which containers serve now, which ones it makes, what
// they will be called, and how each of the old ones would serve again. The order of the steps is left to the plans.
import type { Command } from '@longshore/protocol'
import {
  type HealthRule,
  isUp,
  type Observation,
  ownContainers,
  type Purpose,
  type ReleaseRecord,
  type RestartPolicy,
  type RoutedRelease,
  type SeenContainer
} from './observation.ts'
import { Addresses, withOwnAddress } from './own-network.ts'
import { isStranger, type Plan, portGivers, type Served, servedWith, type Task } from './plan.ts'
import { ownershipOf, ownRequest, reownRequest } from './release-record.ts'
import { byId, type ContainerRef, type MadeRef, type Step } from './steps.ts'
import { routedReleaseOf } from './traffic.ts'

export type ReleaseBody = Pick<
  Extract<Command['body'], { kind: 'release' | 'plan' }>,
  'release' | 'image' | 'spec' | 'replace'
> & { canaryMaxErrorRatio?: number | null }

export type Prepared = {
  before: Served
  after: Served
  /** Containers that serve now, or should: ours and the one to replace. */
  serving: SeenContainer[]
  routed: RoutedRelease | null
  /** Of the own network; null: it is not needed, or there is none. */
  subnet: string | null
  creates: Step[]
  refs: MadeRef[]
  rule: HealthRule
  renames: { forward: Step[]; back: Step[] }
  graces: (one: SeenContainer) => number
  ways: WayBack[]
  record: ReleaseRecord
}

/** @returns a refusal when a name or an address cannot be had */
export const prepareRelease = (
  task: Task,
  body: ReleaseBody,
  seen: Observation,
  found: Served
): Prepared | Extract<Plan, { kind: 'refusal' }> => {
  const { command } = task
  const { spec } = body
  const replaced = seen.containers.find((one) => isStranger(one, body.replace))
  const served = servedWith(found, body.replace, seen)
  const before: Served = { ...served, serving: served.serving === 'none' ? 'none' : 'old' }
  const taken = refuseName(task, body, seen)
  if (taken !== null) return { kind: 'refusal', code: 'name-taken', detail: taken, before }
  const routed = routedReleaseOf(spec)
  const addresses = routed === null ? null : addressesFor(spec.replicas, seen)
  if (typeof addresses === 'string') return { kind: 'refusal', code: 'no-address', detail: addresses, before }
  const own = ownContainers(seen.containers, command).filter((one) => one.owner.command !== command.id)
  const serving = [
    ...own.filter(isServing),
    ...(replaced !== undefined && isServing(replaced) ? [replaced] : [])
  ]
  const names = new FreeNames(seen)
  const made = Array.from({ length: spec.replicas }, (_, index) =>
    makeContainer(task, body, index, names, addresses?.list[index])
  )
  const refs = made.map(({ ref }) => ref)
  return {
    before,
    after:
      spec.replicas === 0 ? { serving: 'none', release: null } : { serving: 'new', release: body.release },
    serving,
    routed,
    subnet: addresses?.subnet ?? null,
    creates: made.map(({ step }) => step),
    refs,
    rule: ruleOf(body),
    renames: planRenames(task, body, seen, refs, names),
    graces: graceOf(seen),
    ways: serving.map((one) => wayBack(task, one, seen, names)),
    record: recordOf(task, body, made, replaced, routed)
  }
}

/** @returns why there are not that many addresses, in words */
export const addressesFor = (
  count: number,
  seen: Observation
): { subnet: string; list: string[] } | string => {
  const { network } = seen.traffic ?? {}
  if (network === undefined) throw new RangeError('a plan with addresses was made without a look at them')
  const addresses = new Addresses(network)
  if (addresses.subnet === null)
    return `no subnet is left for the network of the containers: each of ${network.candidates.join(', ')} meets another network or route of this host; name a free one in LONGSHORE_SUBNET`
  const list = Array.from({ length: count }, () => addresses.take())
  const taken = list.filter((one) => one !== null)
  if (taken.length < count)
    return `the network of the containers, ${addresses.subnet}, has no address left: remove containers, or give it a larger subnet in LONGSHORE_SUBNET`
  return { subnet: addresses.subnet, list: taken }
}

/** @returns why a container cannot be replaced, or the spec's fixed name not be taken, or null */
export const refuseName = (task: Task, body: ReleaseBody, seen: Observation): string | null => {
  const ofAgent = seen.containers.find((one) => one.isOfAgent === true && one.name === body.replace)
  if (ofAgent !== undefined) return `the container ${ofAgent.name} is the agent itself or its HAProxy`
  const name = body.spec.containerName
  if (name === null) return null
  const holder = seen.containers.find((one) => one.name === name)
  if (holder === undefined) return null
  const isGiven = portGivers(task, body.replace, seen).some((one) => one.id === holder.id)
  return isGiven ? null : `the container name ${name} is taken by a container that Longshore does not manage`
}

/** Runs, or is down although its policy says that it should run. */
const isServing = (one: SeenContainer): boolean =>
  isUp(one) || (one.state === 'exited' && one.restart.name !== 'no')

export const ruleOf = (body: Pick<ReleaseBody, 'spec'>): HealthRule => ({
  probe: body.spec.probe,
  timeoutMs: body.spec.healthyTimeoutMs
})

type Made = ReturnType<typeof makeContainer>

const makeContainer = (
  task: Task,
  body: ReleaseBody,
  index: number,
  names: FreeNames,
  address: string | undefined
) => {
  const name = names.take(`${task.command.service}-r${body.release}-${index}`)
  const { restart } = body.spec
  const made = containerOf(task, body.release, index, { name, purpose: 'serving', restart, address })
  return { index, restart, ...made }
}

/** The container of a command at one index, before it is made. */
export const containerOf = (
  { command, requests, specHash }: Task,
  release: number,
  index: number,
  of: { name: string; purpose: Purpose; restart: RestartPolicy; address?: string | undefined }
) => {
  const { name, purpose, restart, address } = of
  const base = requests[index]
  if (base === undefined) throw new RangeError(`task without a create request for container ${index}`)
  const owner = ownershipOf(command, release, index, { specHash, purpose, restart })
  const labelled = ownRequest(base, owner)
  const request = address === undefined ? labelled : withOwnAddress(labelled, address)
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

export type WayBack = { one: SeenContainer; ref: ContainerRef; remake: Step[]; rule: HealthRule }

/** How an old container serves again: judged by its own release's rule, and made anew if somebody removed it. */
const wayBack = (task: Task, one: SeenContainer, seen: Observation, names: FreeNames): WayBack => {
  const record = recordFor(one, seen)
  const stored = record?.containers.find(({ index }) => index === one.owner?.index)
  const rule = record?.rule ?? { probe: null, timeoutMs: null }
  if (stored === undefined) return { one, ref: byId(one), remake: [], rule }
  const { owner, request: former } = reownRequest(stored, task.command)
  // While the container is there, nobody else is given its address; what is made in its place keeps it.
  const request = one.ownAddress === null ? former : withOwnAddress(former, one.ownAddress)
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
  replaced: SeenContainer | undefined,
  routed: RoutedRelease | null
): ReleaseRecord => ({
  environment: task.command.environment,
  service: task.command.service,
  release: body.release,
  containers: made.map(({ index, request, restart }) => ({ index, request, restart })),
  containerName: body.spec.containerName,
  rule: ruleOf(body),
  graceMs: body.spec.stopGracePeriodMs,
  replaced:
    replaced === undefined ? null : { id: replaced.id, name: replaced.name, restart: replaced.restart },
  routed
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
