// The plan of `revert`: back to an earlier release, from kept containers or, where they are gone, from the journal. What
// HAProxy brings traffic to is started beside what serves; what publishes its own ports needs them free first.
import type { Command } from '@longshore/protocol'
import {
  isUp,
  type Observation,
  type OwnContainer,
  ownContainers,
  type ReleaseRecord,
  type RestartPolicy,
  type RoutedRelease
} from './observation.ts'
import { Addresses, ownAddressIn, withOwnAddress } from './own-network.ts'
import type { Plan, Served, Task } from './plan.ts'
import { drainFormer, findHolders, moveStep, ownNetworkSteps } from './plan-start-first.ts'
import { FreeNames, graceOf } from './prepare-release.ts'
import { reownRequest } from './release-record.ts'
import { byId, type ContainerRef, type Routed, type Step } from './steps.ts'
import { briefDrainMs, portSpecsOf, routedNow, serviceKeyOf, wantedRoute } from './traffic.ts'

type RevertBody = Extract<Command['body'], { kind: 'revert' }>
type Own = OwnContainer
type Stored = ReleaseRecord['containers'][number]

/** What serves again at one index: a container that exists, or one to make. */
type Comeback = {
  ref: ContainerRef
  restart: RestartPolicy
  create: Step[]
  isUp: boolean
  /** As it is made now, where its address is another one than before. */
  changed: Stored | null
}

/** Creates what is missing, moves the traffic or the ports to `to`, judges it, removes `from`. */
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
  const addresses = seen.traffic === undefined ? null : new Addresses(seen.traffic.network)
  const comebacks = planComebacks(task, to, record, names, addresses)
  if (comebacks === null) {
    const detail = `neither kept containers nor the journal have release ${body.to} in full`
    return { kind: 'refusal', code: 'nothing-to-revert-to', detail, before }
  }
  if (comebacks === 'no-address') {
    const detail = 'the network of the containers has no address left for those that are made again'
    return { kind: 'refusal', code: 'no-address', detail, before }
  }
  const way: Way = { task, seen, record, up, comebacks, routed: routedOf(record, to, seen) }
  const { steps, undo } = way.routed === null ? revertStopFirst(way, names) : revertStartFirst(way, names)
  const grace = graceOf(seen)
  return {
    kind: 'plan',
    steps: [
      ...(way.routed === null ? [] : [{ kind: 'check-proxy' as const }]),
      ...(addresses === null || way.routed === null ? [] : ownNetworkSteps(task, addresses.subnet)),
      ...comebacks.flatMap((one) => one.create),
      ...steps,
      ...from.map((one): Step => ({ kind: 'remove-container', container: byId(one), graceMs: grace(one) }))
    ],
    undo: [
      ...undo,
      ...comebacks
        .filter((one) => one.create.length > 0)
        .map(({ ref }): Step => ({ kind: 'remove-container', container: ref, graceMs: 0 }))
    ],
    before,
    after: comebacks.length === 0 ? { serving: 'none', release: null } : { serving: 'old', release: body.to },
    record: changedRecord(record, comebacks),
    isUntouched: false,
    warnings: []
  }
}

type Way = {
  task: Task
  seen: Observation
  record: ReleaseRecord | undefined
  up: readonly Own[]
  comebacks: readonly Comeback[]
  routed: RoutedRelease | null
}

/** Without the journal: kept containers on the own network are brought their traffic as the present ones are. */
const routedOf = (
  record: ReleaseRecord | undefined,
  to: readonly Own[],
  seen: Observation
): RoutedRelease | null => {
  if (record !== undefined) return record.routed ?? null
  const now = to.some((one) => one.ownAddress !== null) ? (seen.traffic?.route ?? null) : null
  return now === null ? null : { ports: now.ports, routing: now.routing, drainTimeoutMs: briefDrainMs }
}

const revertStopFirst = (
  { task, seen, record, up, comebacks }: Way,
  names: FreeNames
): { steps: Step[]; undo: Step[] } => {
  const grace = graceOf(seen)
  const service = serviceKeyOf(task.command)
  const route = seen.traffic?.route ?? null
  const former = routedNow(service, up, seen)
  const close: Step[] =
    route === null ? [] : [{ kind: 'close-ports', service, ports: portSpecsOf(route.ports) }]
  return {
    steps: [
      ...close,
      ...up.map((one): Step => ({ kind: 'retire-container', container: byId(one), graceMs: grace(one) })),
      ...renameBack(task, record, seen, comebacks, names),
      ...startAndJudge(comebacks, record)
    ],
    undo: former === null ? [] : [{ kind: 'switch-traffic', to: former.to }]
  }
}

const revertStartFirst = (
  { task, seen, record, up, comebacks, routed }: Way,
  names: FreeNames
): { steps: Step[]; undo: Step[] } => {
  if (routed === null) throw new RangeError('a release without traffic has no start-first way back')
  const grace = graceOf(seen)
  const service = serviceKeyOf(task.command)
  const former = routedNow(service, up, seen)
  const holders = findHolders({ routed }, up)
  const beside = up.filter((one) => !holders.includes(one))
  const to: Routed = { route: wantedRoute(service, routed), containers: comebacks.map(({ ref }) => ref) }
  const drain = drainFormer(service, former, null)
  return {
    steps: [
      ...startAndJudge(comebacks, record),
      moveStep(to, holders, grace),
      ...drain,
      ...beside.map((one): Step => ({ kind: 'retire-container', container: byId(one), graceMs: grace(one) })),
      ...renameBack(task, record, seen, comebacks, names)
    ],
    undo: [
      former === null
        ? { kind: 'close-ports', service, ports: portSpecsOf(routed.ports) }
        : { kind: 'switch-traffic', to: former.to },
      ...comebacks
        .filter((one) => !one.isUp && one.create.length === 0)
        .map(({ ref }): Step => ({ kind: 'retire-container', container: ref, graceMs: record?.graceMs ?? 0 }))
    ]
  }
}

const startAndJudge = (comebacks: readonly Comeback[], record: ReleaseRecord | undefined): Step[] => [
  ...comebacks.map(({ ref, restart }): Step => ({ kind: 'start-container', container: ref, restart })),
  {
    kind: 'await-healthy',
    containers: comebacks.map((one) => one.ref),
    rule: record?.rule ?? { probe: null, timeoutMs: null }
  }
]

/** What is made again with another address is to be found so in the journal. */
const changedRecord = (
  record: ReleaseRecord | undefined,
  comebacks: readonly Comeback[]
): ReleaseRecord | null => {
  const changes = comebacks.flatMap(({ changed }) => changed ?? [])
  if (record === undefined || changes.length === 0) return null
  const containers = record.containers.map((one) => changes.find(({ index }) => index === one.index) ?? one)
  return { ...record, containers }
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
  names: FreeNames,
  addresses: Addresses | null
): Comeback[] | 'no-address' | null => {
  const indexes = record?.containers.map((one) => one.index) ?? [...new Set(to.map((one) => one.owner.index))]
  if (indexes.length === 0 && record === undefined) return null
  const comebacks = indexes.map((index): Comeback | 'no-address' | null => {
    const stored = record?.containers.find((one) => one.index === index)
    const candidates = to.filter((one) => one.owner.index === index && one.state !== 'dead')
    const existing = candidates.find(isUp) ?? candidates[0]
    if (existing !== undefined) {
      const restart = stored?.restart ?? existing.owner.restart ?? existing.restart
      return { ref: byId(existing), restart, create: [], isUp: isUp(existing), changed: null }
    }
    // Without a record, what Docker calls dead is all that is left of it.
    return stored === undefined ? null : remake(task, stored, names, addresses)
  })
  if (comebacks.includes('no-address')) return 'no-address'
  return comebacks.every((one) => one !== null && one !== 'no-address') ? comebacks : null
}

/** Its address may have been given away meanwhile. */
const remake = (
  task: Task,
  kept: Stored,
  names: FreeNames,
  addresses: Addresses | null
): Comeback | 'no-address' => {
  const { command } = task
  const former = ownAddressIn(kept.request)
  const address = former === null || addresses === null ? former : addresses.takeAgain(former)
  if (former !== null && address === null) return 'no-address'
  const isChanged = address !== null && address !== former
  const stored = isChanged ? { ...kept, request: withOwnAddress(kept.request, address) } : kept
  const { owner, request } = reownRequest(stored, command)
  const name = names.take(`${command.service}-r${owner.release}-${stored.index}`)
  return {
    ref: { by: 'command', command: command.id, release: owner.release, index: stored.index },
    restart: stored.restart,
    create: [{ kind: 'create-container', name, owner, request }],
    isUp: false,
    changed: isChanged ? stored : null
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
