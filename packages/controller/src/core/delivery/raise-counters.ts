// After a restored backup the hosts know of more deployments and releases than the store: its counters are raised
// above everything that a host has seen.
import type { Inventory, ServiceMark } from '@longshore/protocol'

export type SeenNumbers = { environment: string; service: string; generation: number; release: number }

/** The highest numbers per environment and service that the host knows of. */
export const numbersSeen = (marks: readonly ServiceMark[], inventory: Inventory): SeenNumbers[] => {
  const seen = new Map<string, SeenNumbers>()
  const note = (environment: string, service: string, generation: number, release: number) => {
    const key = `${environment}/${service}`
    const known = seen.get(key)
    seen.set(key, {
      environment,
      service,
      generation: Math.max(known?.generation ?? 0, generation),
      release: Math.max(known?.release ?? 0, release)
    })
  }
  for (const { environment, service, fence, release } of marks) {
    note(environment, service, fence.generation, release ?? 0)
  }
  for (const { environment, service, release } of inventory.containers) note(environment, service, 0, release)
  return [...seen.values()]
}

/** @returns the raised counters, or undefined when they are high enough */
export const raised = (
  counters: { generation: number; release: number },
  seen: SeenNumbers
): { generation: number; release: number } | undefined =>
  seen.generation <= counters.generation && seen.release <= counters.release
    ? undefined
    : {
        generation: Math.max(counters.generation, seen.generation),
        release: Math.max(counters.release, seen.release)
      }
