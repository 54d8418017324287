// Steps that look at the host before anything is changed: disk, published ports, networks.
import type { PortSpec } from '@longshore/protocol'
import type { SeenContainer } from '../core/observation.ts'
import { isUp } from '../core/observation.ts'
import type { Finding } from '../core/steps.ts'
import { isEngineError, StepError } from '../engine-error.ts'
import type { Runtime } from '../ports.ts'
import { nothing, type StepOf } from './containers.ts'

export const checkDisk = async ({ engine, host }: Runtime, step: StepOf<'check-disk'>): Promise<Finding> => {
  const path = await engine.dataDirectory()
  const freeBytes = await host.freeBytes(path)
  if (freeBytes !== null && freeBytes < step.minFreeBytes)
    throw new StepError('disk-full', `${path} has ${freeBytes} bytes free, ${step.minFreeBytes} are demanded`)
  return nothing
}

/** A port is free when neither a container that stays nor any process of the host holds it. */
export const checkPorts = async (
  { engine, host }: Runtime,
  step: StepOf<'check-ports'>
): Promise<Finding> => {
  const fixed = step.ports.filter((port) => port.published !== null)
  if (fixed.length === 0) return nothing
  const up = (await engine.listContainers()).filter(isUp)
  for (const port of fixed) {
    const holders = up.filter((one) => holdsPort(one, port))
    const stranger = holders.find((one) => !step.allowed.includes(one.id))
    if (stranger !== undefined)
      throw new StepError(
        'port-taken',
        `port ${port.published}/${port.protocol} is held by the container ${stranger.name}`
      )
    if (holders.length === 0 && (await host.isPortBound(port)))
      throw new StepError(
        'port-taken',
        `port ${port.published}/${port.protocol} is held by a process of this host`
      )
  }
  return nothing
}

const holdsPort = (container: SeenContainer, port: PortSpec): boolean =>
  container.publishes.some(
    (held) =>
      held.port === port.published &&
      held.protocol === port.protocol &&
      (isAnyAddress(held.hostIp) || isAnyAddress(port.hostIp) || held.hostIp === port.hostIp)
  )

const isAnyAddress = (address: string | null): boolean =>
  address === null || address === '' || address === '0.0.0.0' || address === '::'

export const createNetwork = async (
  { engine }: Runtime,
  step: StepOf<'create-network'>
): Promise<Finding> => {
  if (await engine.hasNetwork(step.name)) return nothing
  try {
    await engine.createNetwork(step.name, step.labels)
  } catch (error) {
    // Another run made it in between.
    if (!isEngineError(error, 'conflict', 'name-taken') || !(await engine.hasNetwork(step.name))) throw error
  }
  return nothing
}
