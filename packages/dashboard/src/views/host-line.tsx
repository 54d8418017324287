// One host in the list: a line of fixed height.
import type { AgentView } from '@longshore/controller/api'
import { hostStateOf } from '../core/arrange-hosts.ts'
import { addressOf } from '../core/read-route.ts'
import { showShare } from '../core/show-amount.ts'
import { Ago } from '../parts/ago.tsx'
import { Badge } from '../parts/badge.tsx'

export const HostLine = ({ agent }: { agent: AgentView }) => {
  const { id, name, environment, facts, inventory, agentVersion } = agent
  const share = showShare(inventory?.diskFreeBytes ?? null, inventory?.diskTotalBytes ?? null)
  return (
    <div class="host-line">
      <span class="host-name">
        <a href={addressOf({ view: 'host', id })}>{name}</a>
        <span class="dim">{environment}</span>
      </span>
      <span class="host-state">
        <HostStateBadge agent={agent} />
      </span>
      <Containers agent={agent} />
      <span class="wide dim">engine {facts?.engineVersion ?? 'none'}</span>
      <span class="wide dim">agent {agentVersion ?? 'not known'}</span>
      <span class="wide dim">disk {share === null ? 'not known' : `${share} free`}</span>
      <span class="wide dim">load {inventory?.load?.toFixed(2) ?? 'not known'}</span>
    </div>
  )
}

/** The state, and since when. */
export const HostStateBadge = ({ agent }: { agent: AgentView }) => {
  const state = hostStateOf(agent)
  return (
    <>
      <Badge state={state} />{' '}
      <span class="dim">
        {state === 'connected' && (
          <>
            since <Ago atMs={agent.connectedSinceMs} />
          </>
        )}
        {(state === 'silent' || (state === 'revoked' && agent.lastSeenAtMs !== null)) && (
          <>
            seen <Ago atMs={agent.lastSeenAtMs} />
          </>
        )}
        {(state === 'held' || state === 'never seen') && (
          <>
            joined <Ago atMs={agent.enrolledAtMs} />
          </>
        )}
      </span>
    </>
  )
}

const Containers = ({ agent: { inventory } }: { agent: AgentView }) => {
  const serving = inventory?.containers.filter(({ role }) => role === 'serving') ?? []
  const unwell = serving.filter(({ state, health }) => state !== 'running' || health === 'unhealthy')
  if (inventory === null) return <span class="dim containers">containers not known</span>
  if (!inventory.isEngineReachable) return <span class="bad-text containers">engine does not answer</span>
  return (
    <span class="containers">
      {serving.length === 1 ? '1 container' : `${serving.length} containers`}
      {unwell.length > 0 && <span class="bad-text">, {unwell.length} not well</span>}
    </span>
  )
}
