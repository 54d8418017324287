// How several real hosts stand on one machine: one network, and per host a namespace with an engine of its own.
// All publish the same ports without collision and are reached at their own addresses.
import { join } from 'node:path'
import { type Engine, startEngine } from './engine.ts'
import { type HostNamespace, type HostNetwork, openNetwork } from './network.ts'

export type Host = HostNamespace & {
  name: string
  engine: Engine
  /** Puts this before a command line to run it on the host. */
  enter: readonly string[]
}
export type Hosts = { network: HostNetwork; hosts: readonly Host[]; remove(): Promise<void> }

/** @param folder absolute and short; created where missing, its sub-folders deleted at `remove` */
export const startHosts = async (folder: string, count: number): Promise<Hosts> => {
  const network = await openNetwork(folder)
  const engines: Engine[] = []
  const remove = async (): Promise<void> => {
    const ends = await Promise.allSettled(engines.map((engine) => engine.remove()))
    await network.close()
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }
  const startHost = async (number: number, namespace: HostNamespace): Promise<Host> => {
    const name = `host${number}`
    const engine = await startEngine(join(folder, name), namespace, network.subnet)
    engines.push(engine)
    return { ...namespace, name, engine, enter: ['nsenter', `--net=/run/netns/${namespace.namespace}`] }
  }
  try {
    const namespaces: HostNamespace[] = []
    for (let number = 1; number <= count; number++) namespaces.push(await network.addHost())
    const started = await Promise.allSettled(
      namespaces.map((namespace, index) => startHost(index + 1, namespace))
    )
    const hosts = started.map((end) => {
      if (end.status === 'rejected') throw end.reason
      return end.value
    })
    return { network, hosts, remove }
  } catch (error) {
    await remove().catch(() => undefined)
    throw error
  }
}
