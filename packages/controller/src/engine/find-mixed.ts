// Which services run as different releases on their hosts although no deployment is at work on them? Counted per
// environment for monitoring; what is done about it is convergence's, or for people.
import { isMixed, servicesOfSeveral } from '../core/targets/judge-mixed.ts'
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
  const inventories = agents.flatMap(({ id }) => knowledge.freshInventoryOf(id) ?? [])
  let mixed = 0
  // only what may be mixed is judged
  for (const service of servicesOfSeveral(inventories, environment)) {
    if ((await reads.lock(environment, service)) !== undefined) continue
    const { hosts } = await judgeService(reads, knowledge, agents, { environment, service })
    if (isMixed(hosts.map(({ judgement }) => judgement))) mixed += 1
  }
  return mixed
}
