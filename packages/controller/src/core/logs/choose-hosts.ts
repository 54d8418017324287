// Which hosts does a reader of a service's log mean? Those where the service belongs and those where it is; or the ones
// that were named, whatever is on them.
import type { ServiceSpec } from '@longshore/protocol'
import type { AgentRow } from '../../ports.ts'
import { chooseTargets } from '../targets/choose-targets.ts'

export type LogHost = Pick<AgentRow, 'id' | 'hostName'>

/**
 * @param agents of the environment
 * @param spec undefined: none was applied
 * @param isOn whether the agent has said that containers of the service are there
 */
export const chooseLogHosts = (
  agents: readonly AgentRow[],
  spec: ServiceSpec | undefined,
  isOn: (agent: AgentRow) => boolean
): LogHost[] => {
  const placed = new Set((spec === undefined ? [] : chooseTargets(agents, spec)).map(({ id }) => id))
  return agents
    .filter((agent) => agent.state === 'active' && (placed.has(agent.id) || isOn(agent)))
    .sort((a, b) => (a.hostName < b.hostName ? -1 : 1))
}

/** @returns `missing`: names that no active agent has */
export const pickLogHosts = (
  agents: readonly AgentRow[],
  names: readonly string[]
): { hosts: LogHost[]; missing: string[] } => {
  const active = agents.filter(({ state }) => state === 'active')
  const wanted = [...new Set(names)]
  return {
    hosts: active.filter(({ hostName }) => wanted.includes(hostName)),
    missing: wanted.filter((name) => !active.some(({ hostName }) => hostName === name))
  }
}
