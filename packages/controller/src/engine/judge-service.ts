// One service of an environment as it is decided and as it is on the hosts: its current release, the spec that goes
// with it, where it belongs, and how each host does. Writes nothing; status and convergence both begin here.
import type { AgentId, ServiceSpec } from '@longshore/protocol'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import { type HostJudgement, judgeHost } from '../core/targets/judge-host.ts'
import type { AgentRow, CurrentReleaseRow, DeploymentRow, Reads, ReleaseRow } from '../ports.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import { stateOf } from './view-deployment.ts'

export type JudgedHost = {
  agent: AgentId
  host: string
  isPlaced: boolean
  judgement: HostJudgement
  /** A deployment that ended mixed brought it what it runs, as it should: that is for people to decide on. */
  isLeft: boolean
}
export type JudgedService = {
  /** The release that the service runs; undefined: none yet, or it was removed. */
  current: ReleaseRow | undefined
  /** What was decided last, and by which deployment; undefined: nothing has succeeded yet. */
  decided: Pick<CurrentReleaseRow, 'release' | 'generation'> | undefined
  /** Of the current release, else the latest; undefined: none was ever applied. */
  spec: ServiceSpec | undefined
  /** Active hosts of the environment, those it belongs on and all others. */
  hosts: JudgedHost[]
}
type Address = { environment: string; service: string }

/** @param agents of the environment */
export const judgeService = async (
  reads: Reads,
  knowledge: HostKnowledge,
  agents: readonly AgentRow[],
  address: Address
): Promise<JudgedService> => {
  const { environment, service } = address
  const current = await reads.currentRelease(environment, service)
  const [decided] = await reads.currentReleases(address)
  const { heard } = await reads.counters(environment, service)
  const isOutdated = heard > 0 && heard >= (decided?.generation ?? 0)
  const spec = (await reads.spec(environment, service, current?.specRevision))?.spec
  const releases = await releasesOnHosts(reads, knowledge, agents, address)
  const placed = new Set(spec === undefined ? [] : chooseTargets(agents, spec).map(({ id }) => id))
  const shared = {
    ...address,
    current: current?.number ?? null,
    replicas: spec?.replicas ?? 0,
    releases: new Map(releases.map((row) => [row.number, { isAlike: isAlike(row, current) }]))
  }
  const judged = agents
    .filter(({ state }) => state === 'active')
    .map(({ id, hostName }) => ({
      agent: id,
      host: hostName,
      isPlaced: placed.has(id),
      judgement: judgeHost({
        ...shared,
        isConnected: knowledge.isConnected(id),
        inventory: knowledge.inventoryOf(id) ?? null,
        isPlaced: placed.has(id),
        crashLoops: knowledge.crashLoopsOf(id),
        isOutdated
      })
    }))
  const isStale = judged.some(({ judgement }) => judgement.driftKind === 'stale')
  const left = isStale ? await listLeft(reads, address, decided?.generation ?? 0) : new Set()
  const hosts = judged.map((host) => ({
    ...host,
    isLeft: left.has(leftKey(host.agent, host.judgement.release))
  }))
  return { current, decided, spec, hosts }
}

/** Records of the releases that any host speaks of: a service may have had thousands. */
const releasesOnHosts = async (
  reads: Reads,
  knowledge: HostKnowledge,
  agents: readonly AgentRow[],
  { environment, service }: Address
): Promise<ReleaseRow[]> => {
  const containers = agents.flatMap(({ id }) => knowledge.inventoryOf(id)?.containers ?? [])
  const own = containers.filter((one) => one.environment === environment && one.service === service)
  const rows: ReleaseRow[] = []
  for (const number of new Set(own.map(({ release }) => release))) {
    const row = await reads.release(environment, service, number)
    if (row !== undefined) rows.push(row)
  }
  return rows
}

/**
 * `agent release` of the hosts that deployments which ended mixed since the last decision left with their release.
 * Whatever else was tried meanwhile touched nothing, or put back what it found.
 */
const listLeft = async (
  reads: Reads,
  { environment, service }: Address,
  decidedBy: number
): Promise<ReadonlySet<string>> => {
  const mixed = { environment, service, mode: 'deploy', outcome: 'mixed', limit: looked } as const
  const left = new Set<string>()
  for (const row of await reads.deployments(mixed)) {
    const part = partOfService(row, service)
    if (part === undefined || part.generation <= decidedBy) continue
    for (const target of stateOf(row).targets)
      if (target.service === service && target.state === 'released')
        left.add(leftKey(target.agent, part.release))
  }
  return left
}
/** Newest by the clock, which may have jumped: those since the last decision are among them. */
const looked = 20
const leftKey = (agent: string, release: number | null): string => `${agent} ${release}`
const partOfService = (row: DeploymentRow, service: string) =>
  stateOf(row).parts.find((part) => part.service === service)

/** The same image from the same spec: containers of the one are containers of the other but for the number. */
const isAlike = (row: ReleaseRow, current: ReleaseRow | undefined): boolean =>
  current !== undefined &&
  row.digest !== null &&
  row.digest === current.digest &&
  row.repository === current.repository &&
  row.specRevision === current.specRevision
