// What runs where: per service of an environment the current release, who holds it, and each host with how it differs
// and what is done about that. Containers of services that the environment does not know are listed too.
import type { AgentId } from '@longshore/protocol'
import type { ConvergenceView, StatusView } from '../api/schemas.ts'
import { isGivenUp, maxTries } from '../core/convergence/decide.ts'
import { judgeSkew } from '../core/fleet/judge-skew.ts'
import { findFreeze } from '../core/requests/find-freeze.ts'
import { sumFigures } from '../core/traffic/sum-traffic.ts'
import type { AgentRow, ConvergenceRow, DeploymentRow, FreezeRow, LockRow, Reads } from '../ports.ts'
import { trafficOn } from './collect-metrics.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import { type JudgedHost, judgeService } from './judge-service.ts'
import type { ServedSources } from './served-sources.ts'

type Filter = { environment?: string; service?: string }

export const listStatus = async (
  store: Reads,
  knowledge: HostKnowledge,
  served: ServedSources,
  filter: Filter
): Promise<StatusView[]> => {
  const views: StatusView[] = []
  const freezes = await store.freezes(filter.environment)
  const agents = await store.agents(filter)
  for (const address of await servicesOf(store, knowledge, agents, filter)) {
    const own = agents.filter(({ environment }) => environment === address.environment)
    views.push(await statusOf({ store, knowledge, served, freezes, agents: own }, address))
  }
  return views
}

type Address = Pick<StatusView, 'environment' | 'service'>

/** Those that were applied, and those that only hosts know of. */
const servicesOf = async (
  store: Reads,
  knowledge: HostKnowledge,
  agents: readonly AgentRow[],
  filter: Filter
): Promise<Address[]> => {
  const { service } = filter
  const applied: Address[] = await store.specs(filter)
  const found = agents.flatMap(({ id, environment: of }) =>
    (knowledge.inventoryOf(id)?.containers ?? []).filter((one) => one.environment === of)
  )
  const all = new Map<string, Address>()
  for (const one of [...applied, ...found])
    if (service === undefined || one.service === service)
      all.set(`${one.environment}/${one.service}`, { environment: one.environment, service: one.service })
  return [...all.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, address]) => address)
}

type Sources = {
  store: Reads
  knowledge: HostKnowledge
  served: ServedSources
  freezes: readonly FreezeRow[]
  agents: readonly AgentRow[]
}

const statusOf = async (given: Sources, { environment, service }: Address): Promise<StatusView> => {
  const { store, knowledge, freezes, agents } = given
  const { current, hosts, spec } = await judgeService(store, knowledge, agents, { environment, service })
  const shown = hosts.filter(isShown)
  const traffic = shown.flatMap(({ agent }) => trafficOn(knowledge, agent, { environment, service }) ?? [])
  const lock = await store.lock(environment, service)
  const convergences = await store.convergences({ environment, service })
  const sources = new Map<AgentId, Pick<StatusView['hosts'][number], 'source'>>()
  for (const host of shown) sources.set(host.agent, await viewSource(given, host, { environment, service }))
  return {
    environment,
    service,
    release: current?.number ?? null,
    tag: current?.tag ?? null,
    digest: current?.digest ?? null,
    deployment: lock?.deployment ?? null,
    lock: lock === undefined ? null : lockOf(lock, await store.deployment(lock.deployment)),
    freeze: freezeOf(freezes, environment, service),
    hosts: shown.map((host) => ({
      ...viewHost(host, convergences),
      ...sources.get(host.agent),
      ...viewSkew(agents, host.agent),
      ...viewTraffic(knowledge, host.agent, { environment, service }),
      ...((spec?.routing ?? null) !== null && viewProxy(knowledge, host.agent))
    })),
    ...(traffic.length > 0 && { traffic: sumFigures(traffic) })
  }
}

/** Where the service belongs, and where it is although it does not. */
const isShown = ({ isPlaced, judgement }: JudgedHost): boolean => isPlaced || judgement.unwanted.length > 0

const viewHost = (
  { agent, host, judgement }: JudgedHost,
  convergences: readonly ConvergenceRow[]
): StatusView['hosts'][number] => {
  const { unwanted: _, ...shown } = judgement
  const own = convergences.find((one) => one.agent === agent)
  const isShown = own !== undefined && (own.deployment !== null || judgement.driftKind !== undefined)
  return { host, ...shown, ...(isShown ? { convergence: viewTries(own) } : {}) }
}

const viewSource = async (
  { store, knowledge, served }: Sources,
  { agent, judgement: { release } }: JudgedHost,
  { environment, service }: Address
): Promise<Pick<StatusView['hosts'][number], 'source'>> => {
  if (release === null) return {}
  const own = knowledge
    .inventoryOf(agent)
    ?.containers.find(
      (one) =>
        one.environment === environment &&
        one.service === service &&
        one.release === release &&
        one.role === 'serving'
    )
  const deployment = own?.deployment ?? null
  const source = await served.of(store, { environment, service, agent, release, deployment })
  return source === undefined ? {} : { source }
}

const viewTraffic = (
  knowledge: HostKnowledge,
  agent: AgentId,
  address: Address
): Pick<StatusView['hosts'][number], 'traffic'> => {
  const traffic = trafficOn(knowledge, agent, address)
  return traffic === undefined ? {} : { traffic: sumFigures([traffic]) }
}

const viewProxy = (knowledge: HostKnowledge, agent: AgentId): Pick<StatusView['hosts'][number], 'proxy'> => {
  const proxy = knowledge.freshInventoryOf(agent)?.proxy
  return proxy === undefined ? {} : { proxy }
}

const viewSkew = (
  agents: readonly AgentRow[],
  agent: AgentId
): Pick<StatusView['hosts'][number], 'agent'> => {
  const version = agents.find(({ id }) => id === agent)?.agentVersion ?? null
  if (version === null) return {}
  const skew = judgeSkew(version)
  return skew === 'none' ? {} : { agent: { version, skew } }
}

const viewTries = (soFar: ConvergenceRow): ConvergenceView => {
  const { tries, nextAtMs, reason } = soFar
  return { tries, triesMax: maxTries, nextAtMs, reason, isGivenUp: isGivenUp(soFar) }
}

const freezeOf = (
  freezes: readonly FreezeRow[],
  environment: string,
  service: string
): StatusView['freeze'] => {
  const own = freezes.filter((freeze) => freeze.environment === environment)
  return findFreeze(own, service) ?? null
}

const lockOf = (
  { deployment, holder, sinceMs, reason }: LockRow,
  held: DeploymentRow | undefined
): StatusView['lock'] => ({ deployment, holder, sinceMs, reason, isPaused: held?.phase === 'paused' })
