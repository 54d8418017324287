// A real registry for tests, on the address that every host of the network reaches.
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Registry, startRegistry } from '../../scripts/hosts/registry.ts'
import { makeTestFolder } from './real-parts.ts'

export type { Registry }

/** Starts it on ADDRESS:5000; `address` is `network.address` of the hosts, or 127.0.0.1 with a free `port`. */
export const startTestRegistry = async (
  t: Test,
  address: string,
  port?: number,
  options?: { isDeletable?: boolean }
): Promise<Registry> => {
  const registry = await startRegistry(join(makeTestFolder(t), 'registry'), address, port, options)
  t.teardown(() => registry.stop())
  return registry
}
