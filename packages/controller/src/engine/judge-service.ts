// One service of an environment as it is decided and as it is on the hosts: its current release, the spec that goes
// with it, where it belongs, and how each host does. Writes nothing; status and convergence both begin here.
import type { AgentId, ServiceSpec } from '@longshore/protocol'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import { type HostJudgement, judgeHost } from '../core/targets/judge-host.ts'
import type { AgentRow, CurrentReleaseRow, Reads, ReleaseRow } from '../ports.ts'
import type { HostKnowledge } from './host-knowledge.ts'

export type JudgedHost = { agent: AgentId; host: string; isPlaced: boolean; judgement: HostJudgement }
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
  const spec = (await reads.spec(environment, service, current?.specRevision))?.spec
  const releases = await reads.releases(address)
  const placed = new Set(spec === undefined ? [] : chooseTargets(agents, spec).map(({ id }) => id))
  const shared = {
    ...address,
    current: current?.number ?? null,
    replicas: spec?.replicas ?? 0,
    releases: new Map(releases.map((row) => [row.number, { isAlike: isAlike(row, current) }]))
  }
  const hosts = agents
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
        crashLoops: knowledge.crashLoopsOf(id)
      })
    }))
  const [decided] = await reads.currentReleases(address)
  return { current, decided, spec, hosts }
}

/** The same image from the same spec: containers of the one are containers of the other but for the number. */
const isAlike = (row: ReleaseRow, current: ReleaseRow | undefined): boolean =>
  current !== undefined &&
  row.digest !== null &&
  row.digest === current.digest &&
  row.repository === current.repository &&
  row.specRevision === current.specRevision
