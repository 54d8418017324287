// Whose log is to be read, and may it be? Finds the hosts, refuses what cannot be served, and writes to the audit that
// somebody reads: logs hold what programs say, secrets too.
import type { EnvironmentName, ServiceName } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { LogQuery } from '../api/log-schemas.ts'
import { chooseLogHosts, type LogHost, pickLogHosts } from '../core/logs/choose-hosts.ts'
import { maxHostsPerReader } from '../core/logs/grant.ts'
import type { Actor, Store } from '../ports.ts'
import type { Presences } from './presence.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'
import type { Writer } from './writer.ts'

export type FoundLogs = {
  environment: EnvironmentName
  service: ServiceName
  hosts: LogHost[]
  /** These hosts and no others. */
  isNamed: boolean
  isFollowed: boolean
  sinceMs: number | null
  tail: number | null
  grep: string | null
}
export type LogFinder = {
  /** @throws ApiError `unknown-environment`, `unknown-service`, `unknown-agent`, `no-targets`, `invalid-request` */
  find(actor: Actor, query: LogQuery): Promise<FoundLogs>
  /** The hosts of the service as they are now. */
  hostsOf(found: Pick<FoundLogs, 'environment' | 'service'>): Promise<LogHost[]>
}

export const createLogFinder = ({
  store,
  writer,
  presences
}: {
  store: Store
  writer: Writer
  presences: Presences
}): LogFinder => {
  const hostsOf: LogFinder['hostsOf'] = async ({ environment, service }) => {
    const spec = (await store.spec(environment, service))?.spec
    return chooseLogHosts(await store.agents({ environment }), spec, (row) =>
      (presences.view(row).inventory?.containers ?? []).some(
        (one) => one.environment === environment && one.service === service
      )
    )
  }
  const named = async (environment: EnvironmentName, names: readonly string[]): Promise<LogHost[]> => {
    const agents = await store.agents({ environment })
    const { hosts, missing } = pickLogHosts(agents, names)
    if (missing.length === 0) return hosts
    const existing = agents.map(({ hostName: name }) => ({ name, environment, services: null }))
    throw new ApiError('unknown-agent', `${environment} has no host ${missing.join(', ')}`, { existing })
  }
  return {
    hostsOf,
    find: async (actor, query) => {
      const { environment, service } = query
      await requireEnvironment(store, environment)
      const isNamed = query.host !== undefined
      const hosts = isNamed
        ? await named(environment, query.host ?? [])
        : await hostsOf({ environment, service })
      if (hosts.length === 0) {
        await requireSpec(store, { environment, service })
        throw new ApiError('no-targets', `no host of ${environment} has ${service}, or is to have it`)
      }
      demandFew(hosts, service)
      const { follow: isFollowed, sinceMs = null, tail = null, grep = null } = query
      const request = { hosts: hosts.map(({ hostName }) => hostName), isFollowed, sinceMs, tail, grep }
      const note = { actor, action: 'logs.read', subject: `${environment}/${service}`, request }
      await writer.change(note, async () => undefined)
      return { environment, service, hosts, isNamed, isFollowed, sinceMs, tail, grep }
    }
  }
}

const demandFew = ({ length }: readonly LogHost[], service: string): void => {
  if (length <= maxHostsPerReader) return
  const most = `logs are read of ${String(maxHostsPerReader)} at once`
  throw new ApiError('invalid-request', `${service} is on ${String(length)} hosts, and ${most}: name them`)
}
