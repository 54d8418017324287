// The plans that start containers beside what serves and remove them again: `run-once` carries out one command,
// `rehearse` shows that a release would become healthy. Neither touches a serving container.
import type { Command, ServiceSpec } from '@longshore/protocol'
import { helperContainers, neverRestart, type Observation } from './observation.ts'
import { networkSteps, type Plan, planOf, type Served, type Task } from './plan.ts'
import { containerOf, FreeNames, ruleOf } from './prepare-release.ts'
import { byId, type Step } from './steps.ts'

type RunOnceBody = Extract<Command['body'], { kind: 'run-once' }>
type RehearseBody = Extract<Command['body'], { kind: 'rehearse' }>

/**
 * What the spec must not bring along when its containers stand beside those that serve: a proxy that looks at labels,
 * a network that resolves aliases and a fixed name would send them traffic; a fixed port is taken.
 */
const specBeside = (spec: ServiceSpec): ServiceSpec => ({
  ...spec,
  labels: {},
  networks: spec.networks.map(({ name }) => ({ name, aliases: [] })),
  containerName: null,
  restart: neverRestart
})

/** The container of a command publishes nothing, is not checked and has nobody at its terminal: only its end counts. */
export const specOfCommand = (body: RunOnceBody): ServiceSpec => ({
  ...specBeside(body.spec),
  command: body.command,
  ports: [],
  expose: [],
  healthcheck: { test: ['NONE'] },
  tty: false,
  stdinOpen: false,
  replicas: 1
})

/**
 * Docker picks the host ports: the fixed ones belong to what serves. What HAProxy brings traffic to publishes none, and
 * its rehearsal is on the networks of the spec alone: nothing is sent there.
 */
export const specOfRehearsal = ({ spec }: RehearseBody): ServiceSpec => ({
  ...specBeside(spec),
  ports: spec.routing === null ? spec.ports.map((port) => ({ ...port, published: null })) : []
})

/**
 * Creates, starts, waits for the end; the container is removed after its end stands in the journal. One that an agent
 * made whose journal is lost is found by its name, and its command is not started again.
 */
export const planRunOnce = (task: Task, body: RunOnceBody, seen: Observation, served: Served): Plan => {
  const made = helperContainers(seen.containers, task.command).find(
    ({ owner }) => owner.command === task.command.id
  )
  const name = made?.name ?? new FreeNames(seen).take(`${task.command.service}-r${body.release}-once`)
  const { ref, step } = containerOf(task, body.release, 0, { name, purpose: 'once', restart: neverRestart })
  const remove: Step = { kind: 'remove-container', container: ref, graceMs: body.spec.stopGracePeriodMs }
  const steps: Step[] = [
    ...networkSteps(task, body.spec.networks),
    step,
    { kind: 'start-command', container: ref },
    { kind: 'await-command', container: ref },
    remove
  ]
  return { ...planOf(steps, served), undo: [remove] }
}

/** Creates all, starts all, judges all, removes all; before that, what an earlier rehearsal left behind. */
export const planRehearse = (task: Task, body: RehearseBody, seen: Observation, served: Served): Plan => {
  const names = new FreeNames(seen)
  const leftOver = helperContainers(seen.containers, task.command).filter(
    (one) => one.owner.purpose === 'rehearsal' && one.owner.command !== task.command.id
  )
  const made = Array.from({ length: body.spec.replicas }, (_, index) => {
    const name = names.take(`${task.command.service}-r${body.release}-rehearsal-${index}`)
    return containerOf(task, body.release, index, { name, purpose: 'rehearsal', restart: neverRestart })
  })
  const refs = made.map(({ ref }) => ref)
  const removes = refs.map(
    (container): Step => ({
      kind: 'remove-container',
      container,
      graceMs: body.spec.stopGracePeriodMs
    })
  )
  const steps: Step[] = [
    ...leftOver.map((one): Step => ({ kind: 'remove-container', container: byId(one), graceMs: 0 })),
    ...networkSteps(task, body.spec.networks),
    ...made.map(({ step }) => step),
    ...refs.map((container): Step => ({ kind: 'start-container', container, restart: neverRestart })),
    { kind: 'await-healthy', containers: refs, rule: ruleOf(body) },
    ...removes
  ]
  return { ...planOf(steps, served), undo: removes }
}
