// Steps that make, move and remove containers. Each looks first, so that it may be executed again after a
// crash; a new container is recognised by its command and index whatever its name is by then.
import { neverRestart } from '../core/observation.ts'
import { type ContainerRef, type Finding, isMadeAs, type MadeRef, type Step } from '../core/steps.ts'
import { isEngineError, StepError } from '../engine-error.ts'
import type { ContainerLook, Engine, Runtime } from '../ports.ts'

export type StepOf<K extends Step['kind']> = Extract<Step, { kind: K }>
export const nothing: Finding = { kind: 'nothing' }

/** @returns undefined when the container is gone or was never made */
export const findContainer = async (
  engine: Engine,
  ref: ContainerRef
): Promise<ContainerLook | undefined> => {
  if (ref.by === 'command') return findMade(engine, ref)
  const found = await engine.inspectContainer(ref.id)
  return found === undefined && ref.remade !== undefined ? findMade(engine, ref.remade) : found
}

const findMade = async (engine: Engine, made: MadeRef): Promise<ContainerLook | undefined> => {
  const all = await engine.listContainers()
  const found = all.find(({ owner }) => owner !== null && isMadeAs(owner, made))
  return found === undefined ? undefined : engine.inspectContainer(found.id)
}

export const demandContainer = async (engine: Engine, ref: ContainerRef): Promise<ContainerLook> => {
  const found = await findContainer(engine, ref)
  if (found === undefined)
    throw new StepError('interrupted', 'a container of this run was removed by something else')
  return found
}

export const createContainer = async (
  { engine }: Runtime,
  step: StepOf<'create-container'>
): Promise<Finding> => {
  const id = await createOrFind(engine, step)
  await engine.joinNetworks(id, step.request.joins)
  return nothing
}

/** A repeated create answers that the name is taken: by the container that this very step had made. */
const createOrFind = async (engine: Engine, step: StepOf<'create-container'>): Promise<string> => {
  try {
    return await engine.createContainer(step.name, step.request)
  } catch (error) {
    if (!isEngineError(error, 'name-taken')) throw error
    const holder = await engine.inspectContainer(step.name)
    const isOurs = holder?.owner?.command === step.owner.command && holder.owner.index === step.owner.index
    if (holder === undefined || !isOurs) throw error
    return holder.id
  }
}

/** A stranger may have pruned what was kept: the journal's request makes it again. */
export const remakeContainer = async (
  runtime: Runtime,
  step: StepOf<'remake-container'>
): Promise<Finding> => {
  const found = await findContainer(runtime.engine, step.container)
  return found === undefined ? createContainer(runtime, { ...step, kind: 'create-container' }) : nothing
}

/** Policy first: between the two calls an engine restart leaves it down, never up twice. */
export const retireContainer = async (
  { engine }: Runtime,
  step: StepOf<'retire-container'>
): Promise<Finding> => {
  const found = await findContainer(engine, step.container)
  if (found === undefined) return nothing
  await engine.setRestartPolicy(found.id, neverRestart)
  await engine.stopContainer(found.id, step.graceMs)
  return nothing
}

export const renameContainer = async (
  { engine }: Runtime,
  step: StepOf<'rename-container'>
): Promise<Finding> => {
  const found = await demandContainer(engine, step.container)
  if (found.name !== step.name) await engine.renameContainer(found.id, step.name)
  return nothing
}

/** The policy is given only now: a container that was merely created is never started by an engine restart. */
export const startContainer = async (
  { engine }: Runtime,
  step: StepOf<'start-container'>
): Promise<Finding> => {
  const found = await demandContainer(engine, step.container)
  await engine.setRestartPolicy(found.id, step.restart)
  await engine.startContainer(found.id)
  return nothing
}

export const removeContainer = async (
  { engine }: Runtime,
  step: StepOf<'remove-container'>
): Promise<Finding> => {
  const found = await findContainer(engine, step.container)
  if (found === undefined) return nothing
  if (found.isRunning || found.isRestarting) {
    await engine.setRestartPolicy(found.id, neverRestart)
    await engine.stopContainer(found.id, step.graceMs)
  }
  await engine.removeContainer(found.id, { keepsVolumes: step.keepsVolumes === true })
  return nothing
}
