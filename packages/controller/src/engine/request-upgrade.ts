// From the request for another version of the agents to the first event of its deployment: which hosts, which image,
// how many at a time. It brings no service, so that specs, placements and releases have no part in it.
import { agentService } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployRequest } from '../api/schemas.ts'
import type { Requested } from '../core/deployment/events.ts'
import { chooseSources } from '../core/requests/choose-sources.ts'
import type { AgentRow, EnvironmentRow } from '../ports.ts'
import { requireUnfrozen } from './freezes.ts'
import { type RequestContext, requireUnlocked, timingOf } from './request-deployment.ts'

type Wanted = NonNullable<DeployRequest['upgrade']>

/** @throws ApiError `frozen`, `locked`, `unknown-agent`, `no-targets`, `no-agent-connected` */
export const describeUpgrade = async (
  { what, offline }: DeployRequest,
  { repository, parallelism, hosts }: Wanted,
  environment: EnvironmentRow,
  context: RequestContext
): Promise<Requested> => {
  const { tx, id, nowMs, artifacts } = context
  const named = { environment: environment.name, service: agentService }
  await requireUnfrozen(tx, named)
  await requireUnlocked(tx, named)
  const counters = await tx.counters(environment.name, agentService)
  const generation = counters.generation + 1
  const artifact = artifacts.get(agentService) ?? null
  const agents = chooseHosts(await tx.agents({ environment: environment.name }), hosts)
  const targets = agents.map((agent) => ({
    service: agentService,
    agent: agent.id,
    host: agent.hostName,
    isConnected: context.isConnected(agent.id)
  }))
  if (offline === 'skip' && targets.every(({ isConnected }) => !isConnected))
    throw new ApiError('no-agent-connected', `no agent of ${environment.name} is connected`)
  const { sources } = environment
  return {
    kind: 'requested',
    atMs: nowMs,
    id,
    environment: environment.name,
    mode: 'upgrade',
    offline,
    timing: timingOf([], context),
    warnings: [],
    refusals: [],
    targets,
    parts: [
      {
        service: agentService,
        // upgrades are numbered as they come
        release: generation,
        generation,
        current: null,
        repository,
        tag: what.by === 'tag' ? what.tag : null,
        digest: what.by === 'digest' ? what.digest : null,
        specRevision: 0,
        recreate: true,
        replace: null,
        rollout: {
          canary: null,
          parallelism,
          delayMs: 0,
          maxFailureRatio: 0,
          failureAction: 'rollback',
          canaryMaxErrorRatio: null
        },
        keepImages: 0,
        knownTags: [],
        removal: null,
        sources: chooseSources({ service: null, environment: sources, hasArtifact: artifact !== null }),
        artifact,
        cache: null,
        releaseCommand: null
      }
    ]
  }
}

const chooseHosts = (agents: readonly AgentRow[], hosts: readonly string[] | undefined): AgentRow[] => {
  const active = agents.filter(({ state }) => state === 'active')
  const sorted = active.toSorted((a, b) => (a.hostName < b.hostName ? -1 : 1))
  const known = sorted.map(({ hostName }) => hostName)
  const stranger = hosts?.find((name) => !known.includes(name as never))
  if (stranger !== undefined)
    throw new ApiError('unknown-agent', `there is no active agent ${stranger}`, { known })
  if (sorted.length === 0) throw new ApiError('no-targets', 'the environment has no active agent')
  return hosts === undefined ? sorted : sorted.filter(({ hostName }) => hosts.includes(hostName))
}
