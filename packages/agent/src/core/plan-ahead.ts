// `plan`: what `stage` and `release` would do here now, in words, and what of it this host would refuse. Plans the
// very steps that they would plan; carries out none but those that look.
import type { Command, PlanResult } from '@longshore/protocol'
import { isRegistryOnly, limits, sourceText } from '@longshore/protocol'
import { registryAlone } from './image-sources.ts'
import { isUp, type Observation, type SeenContainer } from './observation.ts'
import { isStranger, type Plan, planOf, planStage, type Served, type Task } from './plan.ts'
import { noticesOf } from './plan-notices.ts'
import { isRunningExactly, planRelease } from './plan-release.ts'
import type { ContainerRef, Step, UsableSources } from './steps.ts'
import { answeringContainers } from './traffic.ts'

type PlanBody = Extract<Command['body'], { kind: 'plan' }>
export type Forecast = Omit<PlanResult, 'kind'>

/** The steps of `stage` that only look, and what the report will say if none of them objects. */
export const planAhead = (task: Task, body: PlanBody, seen: Observation, served: Served): Plan => {
  const objections = task.objections ?? []
  const isRunning = objections.length === 0 && isRunningExactly(task, body, seen)
  const base = { isRunning, serves: servesNow(task, body, seen) }
  // What the spec asks cannot be told to this engine, so that there are no steps to plan.
  if (task.requests.length < body.spec.replicas)
    return { ...planOf([], served), forecast: { ...base, steps: [], refusals: objections } }
  const staged = planStage(task, body, seen)
  const released = isRunning && !body.recreate ? null : planRelease(task, body, seen, served)
  const refusals = staged.kind === 'refusal' ? [{ code: staged.code, detail: staged.detail }] : []
  const stageSteps = staged.kind === 'plan' ? staged.steps : []
  const releaseSteps = released?.kind === 'plan' ? released.steps.filter(isNotStaged) : []
  const looks = stageSteps.flatMap((step): Step[] => {
    if (step.kind === 'check-disk' || step.kind === 'check-ports') return [step]
    if (step.kind === 'check-proxy') return [{ kind: 'look-for-proxy' }]
    return step.kind === 'fetch-image' ? [{ ...step, kind: 'look-for-image' }] : []
  })
  const steps = describeSteps([...stageSteps, ...releaseSteps], seen)
  const notices = released?.kind === 'plan' ? noticesOf(released.steps, seen) : []
  const forecast = {
    ...base,
    steps,
    refusals: [...objections, ...refusals],
    ...(notices.length === 0 ? {} : { notices })
  }
  return { ...planOf(looks, served), forecast }
}

/** What `stage` has done by then. */
const isNotStaged = ({ kind }: Step): boolean =>
  kind !== 'check-ports' &&
  kind !== 'check-proxy' &&
  kind !== 'create-network' &&
  kind !== 'create-own-network'

const servesNow = (task: Task, body: PlanBody, seen: Observation): Forecast['serves'] => {
  const [own] = answeringContainers(seen, task.command)
  if (own !== undefined) return { release: own.owner.release, image: imageOf(own) }
  const stranger = seen.containers.find((one) => isStranger(one, body.replace) && isUp(one))
  return stranger === undefined ? null : { release: null, image: imageOf(stranger) }
}

const imageOf = ({ image }: SeenContainer): string | null => (image === '' ? null : image.slice(0, 1024))

/** One line for people per step, with the names that containers will have then. */
export const describeSteps = (steps: readonly Step[], seen: Observation): string[] => {
  const names = new Map<string, string>()
  for (const { id, name } of seen.containers) names.set(id, name)
  const nameOf = (ref: ContainerRef): string => names.get(keyOf(ref)) ?? 'a container'
  return steps
    .map((step) => {
      const words = describe(step, nameOf)
      if (step.kind === 'create-container') names.set(keyOf(madeBy(step)), step.name)
      if (step.kind === 'rename-container') names.set(keyOf(step.container), step.name)
      return words.slice(0, 300)
    })
    .slice(0, limits.maxStepsPerRun)
}

const madeBy = ({ owner }: Extract<Step, { kind: 'create-container' }>): ContainerRef => ({
  by: 'command',
  command: owner.command,
  release: owner.release,
  index: owner.index
})

const keyOf = (ref: ContainerRef): string =>
  ref.by === 'id' ? ref.id : `${ref.command} ${ref.release} ${ref.index}`

const describe = (step: Step, nameOf: (ref: ContainerRef) => string): string => {
  const namesIn = (refs: readonly ContainerRef[]): string => refs.map(nameOf).join(', ')
  switch (step.kind) {
    case 'check-disk':
      return `check that ${step.minFreeBytes} bytes are free`
    case 'check-ports':
      return `check that these ports are free: ${portsOf(step.ports) || 'none'}`
    case 'check-proxy':
      return 'check that HAProxy runs, and start it unless it does'
    case 'look-for-proxy':
      return 'look for HAProxy'
    case 'create-network':
    case 'create-own-network':
      return `make the network ${step.name} unless it is there`
    case 'resolve-image':
      return `ask which image ${step.image.repository}:${step.image.tag ?? 'latest'} is`
    case 'fetch-image':
    case 'look-for-image':
      return describeFetch(step)
    case 'verify-image':
      return `verify ${step.repository}@${step.digest}`
    case 'tag-image':
      return `tag it ${step.repository}:${step.tag}`
    case 'create-container':
    case 'remake-container':
      return `create ${step.name}`
    case 'retire-container':
      return `stop ${nameOf(step.container)} and keep it`
    case 'rename-container':
      return `rename ${nameOf(step.container)} to ${step.name}`
    case 'start-container':
    case 'start-command':
      return `start ${nameOf(step.container)}`
    case 'await-healthy':
      return `wait until healthy: ${namesIn(step.containers)}`
    case 'monitor':
      return `watch for ${step.forMs} ms: ${namesIn(step.containers)}`
    case 'share-traffic':
      return `share the traffic for ${step.forMs} ms and compare failed requests: ${namesIn(step.to.containers)}`
    case 'switch-traffic':
      return `switch the traffic to ${namesIn(step.to.containers)}`
    case 'take-over-ports':
      return `stop ${namesIn(step.holders.map((one) => one.container))}, let HAProxy take its ports, and send the traffic to ${namesIn(step.to.containers)}`
    case 'drain-containers':
      return `wait until nothing is attached to ${namesIn(step.containers)}, ${step.timeoutMs} ms at most`
    case 'close-ports':
      return `let HAProxy give up these ports: ${portsOf(step.ports)}`
    case 'await-command':
      return `wait until ${nameOf(step.container)} ends`
    case 'remove-container':
      return `remove ${nameOf(step.container)}`
    case 'take-agent':
      return 'take the agent out of the image'
    case 'try-agent':
      return 'try it beside the running one'
    case 'hand-over':
      return 'give the place to it'
    case 'prune-images':
      return `remove images beyond ${step.keepImages}`
    default:
      return step satisfies never
  }
}

const describeFetch = ({
  repository,
  digest,
  pullPolicy,
  plan
}: Extract<Step, { kind: 'fetch-image' | 'look-for-image' }>): string => {
  const image = `${repository}@${digest}`
  const from = describeSources(plan?.sources)
  switch (pullPolicy) {
    case 'missing':
      return `fetch ${image}${from} unless it is here`
    case 'always':
      return `fetch ${image}${from}, also when it is here`
    case 'never':
      return `use ${image}, which must be here: it is never fetched`
    default:
      return pullPolicy satisfies never
  }
}

/** ` from mirror:mirror.example.com, then registry`; nothing where the registry in the image's name is all that was named. */
const describeSources = (sources: UsableSources = registryAlone): string => {
  const { allowed, refused } = sources
  if (refused.length === 0 && isRegistryOnly(allowed)) return ''
  const denied = refused.map(({ source }) => sourceText(source)).join(', ')
  return ` from ${allowed.map(sourceText).join(', then ')}${denied === '' ? '' : ` (not allowed here: ${denied})`}`
}

const portsOf = (ports: Extract<Step, { kind: 'check-ports' }>['ports']): string =>
  ports.flatMap((port) => (port.published === null ? [] : [`${port.published}/${port.protocol}`])).join(', ')
