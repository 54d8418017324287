// Which services run as different releases on their hosts although no deployment is at work on them? Counted per
// environment for monitoring; what is done about it is convergence's, or for people.
import type { InventoryContainer } from '@longshore/protocol'
import type { AgentRow, Reads } from '../ports.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import { judgeService } from './judge-service.ts'

/**
 * @param agents active ones of one environment; those that are silent count for nothing
 * @returns how many services
 */
export const countMixed = async (
  reads: Reads,
  knowledge: HostKnowledge,
  agents: readonly AgentRow[],
  environment: string
): Promise<number> => {
  let mixed = 0
  for (const service of servicesOfSeveral(knowledge, agents, environment)) {
    if ((await reads.lock(environment, service)) !== undefined) continue
    const { hosts } = await judgeService(reads, knowledge, agents, { environment, service })
    // a release by another number may be the very same: then no host differs from what was decided
    if (hosts.some(({ judgement }) => isOther(judgement.driftKind))) mixed += 1
  }
  return mixed
}

const isOther = (kind: string | undefined): boolean =>
  kind === 'stale' || kind === 'extra' || kind === 'unknown'

/** Cheap, so that only what may be mixed is judged. */
const servicesOfSeveral = (
  knowledge: HostKnowledge,
  agents: readonly AgentRow[],
  environment: string
): string[] => {
  const releases = new Map<string, Set<number>>()
  for (const { id } of agents) {
    const { containers = [] } = knowledge.freshInventoryOf(id) ?? {}
    for (const one of containers) {
      if (one.environment !== environment || !isServing(one)) continue
      releases.set(one.service, (releases.get(one.service) ?? new Set()).add(one.release))
    }
  }
  return [...releases].filter(([, found]) => found.size > 1).map(([service]) => service)
}

const isServing = ({ role, isKept, state }: InventoryContainer): boolean =>
  role === 'serving' && !isKept && state === 'running'
