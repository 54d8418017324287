// What runs where: per service of an environment the current release, the deployment in progress, and each host.
import type { AgentId, Inventory } from '@longshore/protocol'
import type { ReleaseView, StatusView } from '../api/schemas.ts'
import { findFreeze } from '../core/requests/find-freeze.ts'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import { judgeHost } from '../core/targets/judge-host.ts'
import type { FreezeRow, LockRow, Reads, SpecRow } from '../ports.ts'

export type HostKnowledge = {
  isConnected(agent: AgentId): boolean
  inventoryOf(agent: AgentId): Inventory | undefined
}
type Filter = { environment?: string; service?: string }

export const listStatus = async (
  store: Reads,
  hosts: HostKnowledge,
  filter: Filter
): Promise<StatusView[]> => {
  const views: StatusView[] = []
  const freezes = await store.freezes(filter.environment)
  for (const spec of await store.specs(filter)) views.push(await statusOf(store, hosts, freezes, spec))
  return views
}

const statusOf = async (
  store: Reads,
  hosts: HostKnowledge,
  freezes: readonly FreezeRow[],
  row: SpecRow
): Promise<StatusView> => {
  const { environment, service, spec } = row
  const current = await store.currentRelease(environment, service)
  const lock = await store.lock(environment, service)
  const targets = chooseTargets(await store.agents({ environment }), spec)
  return {
    environment,
    service,
    release: current?.number ?? null,
    tag: current?.tag ?? null,
    digest: current?.digest ?? null,
    deployment: lock?.deployment ?? null,
    lock: lock === undefined ? null : lockOf(lock),
    freeze: freezeOf(freezes, environment, service),
    hosts: targets.map(({ id, hostName }) => ({
      host: hostName,
      ...judgeHost({
        isConnected: hosts.isConnected(id),
        inventory: hosts.inventoryOf(id) ?? null,
        environment,
        service,
        current: current?.number ?? null,
        replicas: spec.replicas
      })
    }))
  }
}

const freezeOf = (
  freezes: readonly FreezeRow[],
  environment: string,
  service: string
): StatusView['freeze'] => {
  const own = freezes.filter((freeze) => freeze.environment === environment)
  return findFreeze(own, service) ?? null
}

const lockOf = ({ deployment, holder, sinceMs, reason }: LockRow): StatusView['lock'] => ({
  deployment,
  holder,
  sinceMs,
  reason
})

export const listReleases = async (
  store: Reads,
  filter: Filter & { limit?: number }
): Promise<ReleaseView[]> => {
  const views: ReleaseView[] = []
  for (const row of await store.releases(filter)) {
    const current = await store.currentRelease(row.environment, row.service)
    const { number, ...rest } = row
    views.push({ ...rest, release: number, isCurrent: current?.number === number })
  }
  return views
}
