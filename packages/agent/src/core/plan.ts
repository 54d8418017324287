// From a command and what the host looks like now to the steps that carry it out. One entry for every kind of
// command; the plans that move containers stand in plan-release.ts and plan-back.ts.
import type { Command, ImageContent, RunErrorCode, Serving } from '@longshore/protocol'
import { ownTag, pinnedReference } from './image-match.ts'
import {
  type ContainerRequest,
  isUp,
  type Observation,
  ownContainers,
  type ReleaseRecord,
  type SeenContainer
} from './observation.ts'
import { type Forecast, planAhead } from './plan-ahead.ts'
import { planRemove, planSettle } from './plan-back.ts'
import { planRehearse, planRunOnce } from './plan-beside.ts'
import { isRunningExactly, planRelease, planUntouched } from './plan-release.ts'
import { planRevert } from './plan-revert.ts'
import { ownNetworkSteps } from './plan-start-first.ts'
import { planUpgrade } from './plan-upgrade.ts'
import { addressesFor, refuseName } from './prepare-release.ts'
import type { Step, UsableSources } from './steps.ts'
import { answeringContainers, routedReleaseOf, serviceKeyOf } from './traffic.ts'

/** A command with what the agent adds to it. JSON-able: it stands in the journal. */
export type Task = {
  command: Command
  /** Hash of the spec in the command, '' for kinds without one; a label of the containers. */
  specHash: string
  minFreeBytes: number
  /** For a release: Docker's create request of each replica, still without labels of ours. */
  requests: ContainerRequest[]
  /** For `resolve` and `stage`; absent, as in a run that an older agent began: the registry. */
  sources?: UsableSources
  /** For `plan`: why `stage` would be refused before it became a run. */
  objections?: { code: RunErrorCode; detail: string }[]
}

/** Which release answers on the host. */
export type Served = { serving: Serving; release: number | null }

export type Plan =
  | {
      kind: 'plan'
      steps: Step[]
      /** How to go back once a step that stopped something has begun; in order. */
      undo: Step[]
      before: Served
      after: Served
      /** To be in the journal before the first step. */
      record: ReleaseRecord | null
      /** The host runs this already; the steps only judge it. */
      isUntouched: boolean
      warnings: string[]
      /** For `plan`: what its report will say, without what the steps will find. */
      forecast?: Forecast
    }
  | { kind: 'refusal'; code: RunErrorCode; detail: string; before: Served }

/** @param isForced switch although the host seems to run exactly this already */
export const planSteps = (task: Task, seen: Observation, isForced: boolean): Plan => {
  const { body } = task.command
  switch (body.kind) {
    case 'resolve': {
      const before = servedBefore(task, seen, null)
      const { sources } = task
      return planOf([{ kind: 'resolve-image', image: body.image, ...(sources && { sources }) }], before)
    }
    case 'stage':
      return planStage(task, body, seen)
    case 'release':
      return !body.recreate && !isForced && isRunningExactly(task, body, seen)
        ? planUntouched(task, body, seen)
        : planRelease(task, body, seen, servedBefore(task, seen, body.release))
    case 'revert':
      return planRevert(task, body, seen)
    case 'settle':
      return planSettle(task, body, seen)
    case 'remove':
      return planRemove(task, body, seen)
    case 'plan':
      return planAhead(task, body, seen, servedBefore(task, seen, null))
    case 'run-once':
      return planRunOnce(task, body, seen, servedBefore(task, seen, body.release))
    case 'upgrade':
      return planUpgrade(task, body)
    case 'rehearse':
      return planRehearse(task, body, seen, servedBefore(task, seen, body.release))
    default:
      return body satisfies never
  }
}

/** A plan after which the same serves as before, and which needs no way back. */
export const planOf = (steps: Step[], before: Served): Extract<Plan, { kind: 'plan' }> => ({
  kind: 'plan',
  steps,
  undo: [],
  before,
  after: before,
  record: null,
  isUntouched: false,
  warnings: []
})

type StageBody = Pick<
  Extract<Command['body'], { kind: 'stage' }>,
  'release' | 'image' | 'spec' | 'replace'
> & {
  contents?: ImageContent[]
}

export const planStage = (task: Task, body: StageBody, seen: Observation): Plan => {
  const { command } = task
  const { spec, image } = body
  const isRunning = isRunningExactly(task, body, seen)
  const before: Served = isRunning
    ? { serving: 'new', release: body.release }
    : servedWith(servedBefore(task, seen, null), body.replace, seen)
  const taken = refuseName(task, body, seen)
  if (taken !== null) return { kind: 'refusal', code: 'name-taken', detail: taken, before }
  const routed = routedReleaseOf(spec)
  // What cannot be had at the release is a vote against it.
  const addresses = routed === null || isRunning ? null : addressesFor(spec.replicas, seen)
  if (typeof addresses === 'string') return { kind: 'refusal', code: 'no-address', detail: addresses, before }
  const pinned = { repository: image.repository, digest: image.digest, platform: spec.platform }
  const tag = ownTag(command.service, command.environment, body.release)
  const { sources, minFreeBytes } = task
  const plan = sources && { sources, contents: body.contents ?? [], keepAs: tag, minFreeBytes }
  return planOf(
    [
      { kind: 'check-disk', minFreeBytes: task.minFreeBytes },
      ...(routed === null ? [] : [{ kind: 'check-proxy' as const }]),
      checkPortsStep(task, body, seen),
      ...networkSteps(task, spec.networks),
      ...ownNetworkSteps(task, addresses?.subnet ?? null),
      { kind: 'fetch-image', ...pinned, tag: image.tag, pullPolicy: spec.pullPolicy, ...(plan && { plan }) },
      { kind: 'verify-image', ...pinned },
      { kind: 'tag-image', reference: pinnedReference(image), image: pinned, ...tag }
    ],
    before
  )
}

/** Ports that HAProxy holds for the service itself are free for it. */
export const checkPortsStep = (
  task: Task,
  { spec, replace }: Pick<StageBody, 'spec' | 'replace'>,
  seen: Observation
): Step => {
  const routing = routedReleaseOf(spec)?.routing ?? null
  const isRouted = routing !== null || (seen.traffic?.route ?? null) !== null
  return {
    kind: 'check-ports',
    ports: spec.ports,
    allowed: portGivers(task, replace, seen).map((one) => one.id),
    ...(isRouted ? { route: { ...serviceKeyOf(task.command), routing } } : {})
  }
}

/** Containers that may hold a port of the service, because the release stops them: our own, and the one to replace. */
export const portGivers = (task: Task, replace: string | null, seen: Observation): SeenContainer[] => [
  ...ownContainers(seen.containers, task.command),
  ...seen.containers.filter((one) => isStranger(one, replace))
]

/** What answers where a container that Longshore did not make may be taken over: ours, or else that one. */
export const servedWith = (own: Served, replace: string | null, seen: Observation): Served =>
  own.serving === 'none' && seen.containers.some((one) => isStranger(one, replace) && isUp(one))
    ? { serving: 'old', release: null }
    : own

/** The container to replace: by its name, and not made by Longshore. */
export const isStranger = (one: SeenContainer, replace: string | null): boolean =>
  one.owner === null && one.name === replace

/** Networks are made when missing and left alone when somebody made them before. */
export const networkSteps = (task: Task, networks: readonly { name: string }[]): Step[] =>
  networks.map(({ name }) => ({
    kind: 'create-network',
    name,
    labels: { 'longshore.installation': task.command.installation }
  }))

const servedBefore = (task: Task, seen: Observation, newRelease: number | null): Served => {
  const [up] = answeringContainers(seen, task.command)
  if (up === undefined) return { serving: 'none', release: null }
  return { serving: up.owner.release === newRelease ? 'new' : 'old', release: up.owner.release }
}
