// Does a service run as different releases on its hosts? What runs tells cheaply which services may; how each host differs
// from what was decided tells which do.
import type { Inventory, InventoryContainer } from '@longshore/protocol'
import type { HostJudgement } from './judge-host.ts'

/**
 * Services of which more than one release serves.
 * @param inventories of the environment's hosts, as they are now
 */
export const servicesOfSeveral = (inventories: readonly Inventory[], environment: string): string[] => {
  const releases = new Map<string, Set<number>>()
  for (const { containers } of inventories) {
    for (const one of containers) {
      if (one.environment !== environment || !isServing(one)) continue
      releases.set(one.service, (releases.get(one.service) ?? new Set()).add(one.release))
    }
  }
  return [...releases].filter(([, found]) => found.size > 1).map(([service]) => service)
}

/** A release by another number may be the very same: then no host differs from what was decided. */
export const isMixed = (hosts: readonly Pick<HostJudgement, 'driftKind'>[]): boolean =>
  hosts.some(({ driftKind }) => driftKind === 'stale' || driftKind === 'extra' || driftKind === 'unknown')

const isServing = ({ role, isKept, state }: InventoryContainer): boolean =>
  role === 'serving' && !isKept && state === 'running'
