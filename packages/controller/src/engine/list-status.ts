// What runs where: per service of an environment the current release, the deployment in progress, and each host.
import type { AgentId, Inventory } from '@longshore/protocol'
import type { ReleaseView, StatusView } from '../api/schemas.ts'
import { chooseTargets } from '../core/targets/choose-targets.ts'
import { judgeHost } from '../core/targets/judge-host.ts'
import type { LockRow, Reads, SpecRow } from '../ports.ts'

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
  for (const spec of await store.specs(filter)) views.push(await statusOf(store, hosts, spec))
  return views
}

const statusOf = async (store: Reads, hosts: HostKnowledge, row: SpecRow): Promise<StatusView> => {
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
    freeze: null,
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

const lockOf = ({ deployment, holder, sinceMs }: LockRow): StatusView['lock'] => ({
  deployment,
  holder,
  sinceMs,
  reason: null
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
