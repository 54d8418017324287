// After a restored backup the hosts know of more deployments and releases than the store: its counters are raised
// above everything that a host has seen, and it is kept that its hosts know of deployments that it does not.
import type { Inventory, ServiceMark } from '@longshore/protocol'

export type SeenNumbers = { environment: string; service: string; generation: number; release: number }

/** Nobody deploys that often: a host that says so lies, and would leave no numbers for the deployments to come. */
const maxCredible = 100_000_000

/**
 * The highest numbers per service that the host knows of. What it says of other environments than its own is no
 * business of its, and what nobody can have counted to is not believed.
 */
export const numbersSeen = (
  ofEnvironment: string,
  marks: readonly ServiceMark[],
  inventory: Inventory
): SeenNumbers[] => {
  const seen = new Map<string, SeenNumbers>()
  const note = (environment: string, service: string, generation: number, release: number) => {
    if (environment !== ofEnvironment || Math.max(generation, release) > maxCredible) return
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

/** As the store keeps them; `heard` is what was seen above the generation that it had come to. */
type Counters = { generation: number; release: number; heard: number }

/** @returns the raised counters, or undefined when they are high enough */
export const raised = (counters: Counters, seen: SeenNumbers): Counters | undefined =>
  seen.generation <= counters.generation && seen.release <= counters.release
    ? undefined
    : {
        generation: Math.max(counters.generation, seen.generation),
        release: Math.max(counters.release, seen.release),
        heard: seen.generation > counters.generation ? seen.generation : counters.heard
      }
