// Steps that look at the host before anything is changed: disk, published ports, networks.
import type { PortSpec } from '@longshore/protocol'
import { isUp } from '../core/observation.ts'
import { gatewayOf } from '../core/own-network.ts'
import { doAddressesOverlap, findPortConflicts, isSameService } from '../core/proxy/conflicts.ts'
import type { Finding } from '../core/steps.ts'
import { publishesPort } from '../core/traffic.ts'
import { isEngineError, StepError } from '../engine-error.ts'
import type { Engine, Runtime } from '../ports.ts'
import { nothing, type StepOf } from './containers.ts'
import { pause } from './pause.ts'

/** How often, and how long apart, a network is looked for that somebody else is making. */
const networkLooks = 20
const networkLookMs = 100

export const checkDisk = async ({ engine, host }: Runtime, step: StepOf<'check-disk'>): Promise<Finding> => {
  const path = await engine.dataDirectory()
  const freeBytes = await host.freeBytes(path)
  if (freeBytes !== null && freeBytes < step.minFreeBytes)
    throw new StepError('disk-full', `${path} has ${freeBytes} bytes free, ${step.minFreeBytes} are demanded`)
  return nothing
}

/** A port is free when neither a container that stays nor any process of the host holds it. */
export const checkPorts = async (runtime: Runtime, step: StepOf<'check-ports'>): Promise<Finding> => {
  const fixed = step.ports.filter((port) => port.published !== null)
  if (fixed.length === 0) return nothing
  const rival = findRival(runtime, step)
  if (rival !== null) throw new StepError('port-taken', rival)
  const up = (await runtime.engine.listContainers()).filter(isUp)
  for (const port of fixed) {
    const holders = up.filter((one) => publishesPort(one, port))
    const stranger = holders.find((one) => !step.allowed.includes(one.id))
    if (stranger !== undefined)
      throw new StepError(
        'port-taken',
        `port ${port.published}/${port.protocol} is held by the container ${stranger.name}`
      )
    if (holders.length === 0 && (await isTaken(runtime, step, port)))
      throw new StepError(
        'port-taken',
        `port ${port.published}/${port.protocol} is held by a process of this host`
      )
  }
  return nothing
}

const findRival = ({ proxy }: Runtime, { ports, route }: StepOf<'check-ports'>): string | null => {
  if (route === undefined) return null
  const { routing } = route
  const others = proxy.routes().filter((one) => !isSameService(one, route))
  const wanted = ports.flatMap(({ published, hostIp, target, protocol }) =>
    published === null || protocol === 'udp' ? [] : [{ published, hostIp, target }]
  )
  if (routing !== null) return findPortConflicts({ ...route, routing, ports: wanted }, others)[0] ?? null
  const holder = others.find((one) =>
    one.ports.some((held) =>
      wanted.some((port) => held.published === port.published && doAddressesOverlap(held.hostIp, port.hostIp))
    )
  )
  return holder === undefined
    ? null
    : `HAProxy holds a port of it for ${holder.service} of ${holder.environment}`
}

/** What HAProxy holds for the service, or for others that it may share it with, it has already. */
const isTaken = async (
  { host, proxy }: Runtime,
  { route }: StepOf<'check-ports'>,
  port: PortSpec
): Promise<boolean> => {
  if (!(await host.isPortBound(port))) return false
  const { published, hostIp, protocol } = port
  if (route === undefined || published === null || protocol === 'udp') return true
  return !(await proxy.holdsPort({ published, hostIp }))
}

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

/** Made by an operator, or by another run meanwhile, it must be the one in which the addresses were chosen. */
export const createOwnNetwork = async (
  runtime: Runtime,
  step: StepOf<'create-own-network'>
): Promise<Finding> => {
  const { engine } = runtime
  const { name, subnet, labels } = step
  if ((await findNetwork(engine, name)) === undefined) {
    try {
      await engine.createNetwork(name, labels, { subnet, gateway: gatewayOf(subnet) })
    } catch (error) {
      if (!(await isMadeByAnother(runtime, name))) throw error
    }
  }
  const found = await findNetwork(engine, name)
  if (found?.subnets.includes(subnet) === true) return nothing
  throw new StepError(
    'no-address',
    `the network ${name} has the subnet ${found?.subnets.join(', ') ?? 'none'}, and the addresses were chosen in ${subnet}: deploy again`
  )
}

const findNetwork = async (engine: Engine, name: string) =>
  (await engine.listNetworks()).find((one) => one.name === name)

/** The engine refuses a subnet, with a text only, for a network of another run that it does not show yet. */
const isMadeByAnother = async (runtime: Runtime, name: string): Promise<boolean> => {
  for (let looks = 1; looks <= networkLooks; looks += 1) {
    if ((await findNetwork(runtime.engine, name)) !== undefined) return true
    await pause(runtime, networkLookMs)
  }
  return false
}
