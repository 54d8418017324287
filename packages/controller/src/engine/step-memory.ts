// What the commands of recent deployments did, step by step, as their reports said: for whoever wants to know what
// took long. In memory only, and bounded: nothing is decided by it, and a controller that restarts has forgotten it.
import type { StepReceipt } from '@longshore/protocol'
import type { CommandName } from '../core/deployment/events.ts'
import type { TargetKey } from '../core/deployment/state.ts'

export type StepMemory = {
  /** Safe to repeat: a report may be heard again. */
  keep(deployment: string, command: CommandName, steps: readonly StepReceipt[]): void
  /** In the order of the commands; empty: none are known. */
  of(deployment: string, target: TargetKey): readonly StepReceipt[]
}

/** The oldest is forgotten first. A deployment of 1,000 hosts takes about 3 MB. */
const maxDeployments = 50
const nothing: readonly StepReceipt[] = []

type Known = { byIndex: Map<number, readonly StepReceipt[]>; all: readonly StepReceipt[] }

export const createStepMemory = (): StepMemory => {
  const deployments = new Map<string, Map<string, Known>>()
  const ofDeployment = (id: string): Map<string, Known> => {
    const known = deployments.get(id) ?? new Map<string, Known>()
    deployments.set(id, known)
    const oldest = deployments.keys().next()
    if (deployments.size > maxDeployments && oldest.done === false) deployments.delete(oldest.value)
    return known
  }
  return {
    keep: (id, { service, agent, index }, steps) => {
      if (steps.length === 0) return
      const targets = ofDeployment(id)
      const key = keyOf({ service, agent })
      const byIndex = targets.get(key)?.byIndex ?? new Map<number, readonly StepReceipt[]>()
      byIndex.set(index, steps)
      targets.set(key, { byIndex, all: [...byIndex.values()].flat() })
    },
    of: (id, target) => deployments.get(id)?.get(keyOf(target))?.all ?? nothing
  }
}

const keyOf = ({ service, agent }: TargetKey): string => `${service} ${agent}`
