// Which hosts are shown, in which order and under which heading: filtered by words and labels, grouped.
import type { AgentView } from '@longshore/controller/api'

export const hostStates = ['connected', 'silent', 'never seen', 'held', 'revoked'] as const
export type HostState = (typeof hostStates)[number]

export const hostStateOf = ({ state, lastSeenAtMs }: Pick<AgentView, 'state' | 'lastSeenAtMs'>): HostState =>
  state === 'silent' && lastSeenAtMs === null ? 'never seen' : state

export const groupings = ['environment', 'state', 'nothing'] as const
export type Grouping = (typeof groupings)[number]
export type HostWish = {
  /** Words, all of which have to be in the host's texts; `key=value` is a label. */
  readonly text: string
  readonly environment: string | null
  readonly state: HostState | null
  readonly groupBy: Grouping
}

export type HostRow =
  | { readonly kind: 'heading'; readonly key: string; readonly title: string; readonly count: number }
  | { readonly kind: 'host'; readonly key: string; readonly agent: AgentView }

export const countStates = (agents: Iterable<AgentView>): Record<HostState, number> => {
  const counts = { connected: 0, silent: 0, 'never seen': 0, held: 0, revoked: 0 }
  for (const agent of agents) counts[hostStateOf(agent)] += 1
  return counts
}

export const arrangeHosts = (agents: Iterable<AgentView>, wish: HostWish): HostRow[] => {
  const words = wish.text.toLowerCase().split(/\s+/).filter(Boolean)
  const keyed = [...agents]
    .filter((agent) => isWanted(agent, wish, words))
    .map((agent) => ({ agent, group: groupOf(agent, wish.groupBy), key: sortKey(agent.name) }))
  const place = (group: string): number => hostStates.indexOf(group as HostState)
  keyed.sort(
    (a, b) =>
      place(a.group) - place(b.group) ||
      compare(a.group, b.group) ||
      compare(a.key, b.key) ||
      compare(a.agent.id, b.agent.id)
  )
  if (wish.groupBy === 'nothing') return keyed.map(({ agent }) => rowOf(agent))
  const groups = Map.groupBy(keyed, ({ group }) => group)
  return [...groups].flatMap(([title, members]) => [
    { kind: 'heading' as const, key: `group ${title}`, title, count: members.length },
    ...members.map(({ agent }) => rowOf(agent))
  ])
}

const rowOf = (agent: AgentView): HostRow => ({ kind: 'host', key: agent.id, agent })
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
/** `web-2` before `web-10`. */
const sortKey = (name: string): string => name.replace(/\d+/g, (digits) => digits.padStart(12, '0'))
const groupOf = (agent: AgentView, groupBy: Grouping): string => {
  if (groupBy === 'environment') return agent.environment
  return groupBy === 'state' ? hostStateOf(agent) : ''
}

const isWanted = (agent: AgentView, wish: HostWish, words: readonly string[]): boolean => {
  if (wish.environment !== null && agent.environment !== wish.environment) return false
  if (wish.state !== null && hostStateOf(agent) !== wish.state) return false
  return words.length === 0 || fitsWords(agent, words)
}

const fitsWords = (agent: AgentView, words: readonly string[]): boolean => {
  const labels = Object.entries(agent.labels).map(([key, value]) => `${key}=${value}`.toLowerCase())
  const services = agent.inventory?.containers.map(({ service }) => service) ?? []
  const texts = [agent.name, agent.id, agent.environment, agent.agentVersion ?? '', ...services]
  const text = texts.join('\n').toLowerCase()
  return words.every((word) =>
    word.includes('=')
      ? labels.includes(word)
      : text.includes(word) || labels.some((one) => one.includes(word))
  )
}
