// May what runs where be another after this event? A host's load alone changes nothing of it; asking is not free.
import type { AgentView, StreamEvent } from '@longshore/controller/api'

/** @param agents as they were known before the event */
export const changesStatus = (agents: ReadonlyMap<string, AgentView>, event: StreamEvent): boolean => {
  if (event.type === 'progress' || event.type === 'log' || event.type === 'warning') return false
  if (event.type !== 'agent') return true
  const before = agents.get(event.agent.id)
  if (before === undefined || before.state !== event.agent.state) return true
  return partsOf(before) !== partsOf(event.agent)
}

const partsOf = ({ inventory }: AgentView): string =>
  JSON.stringify([inventory?.isEngineReachable, inventory?.containers, inventory?.proxy])
