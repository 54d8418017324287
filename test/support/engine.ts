// Real Docker Engines for tests: each a host of its own in a network namespace, gone at the end of the test.
import type { Test } from 'tap'
import { type Host, type Hosts, startHosts } from '../../scripts/hosts/hosts.ts'
import { makeTestFolder } from './real-parts.ts'

export type { Engine } from '../../scripts/hosts/engine.ts'
export { connectEngine, type EngineClient, EngineRefused } from '../../scripts/hosts/engine-client.ts'
export type { Host, Hosts }

/** Starts so many hosts on one network, all at once: about two seconds. */
export const startTestHosts = async (t: Test, count: number): Promise<Hosts> => {
  const hosts = await startHosts(makeTestFolder(t), count)
  t.teardown(() => hosts.remove())
  return hosts
}

/** Starts one host. */
export const startTestHost = async (t: Test): Promise<Host & { network: Hosts['network'] }> => {
  const { hosts, network } = await startTestHosts(t, 1)
  const [host] = hosts
  if (host === undefined) throw new Error('no host was started')
  return { ...host, network }
}
