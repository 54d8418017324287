// Services against hosts, an environment at a time. With many hosts only those that are not well are shown one by
// one; the others are counted.
import type { HostStatus, StatusView } from '@longshore/controller/api'

/** As many columns as can be read. */
const maxColumns = 12

export const isWell = ({ state, drift }: HostStatus): boolean => state === 'running' && drift === undefined

export type GridRow = {
  readonly status: StatusView
  /** Beside the grid's hosts, in their order; undefined: not a host of this service. */
  readonly cells: readonly (HostStatus | undefined)[]
  readonly well: number
  readonly unwell: readonly HostStatus[]
}
export type Grid = {
  readonly environment: string
  /** null: too many to be columns. */
  readonly hosts: readonly string[] | null
  readonly rows: readonly GridRow[]
}

/** @param environments those to show, also without any service */
export const arrangeGrids = (statuses: readonly StatusView[], environments: readonly string[]): Grid[] => {
  const names = [...new Set([...environments, ...statuses.map(({ environment }) => environment as string)])]
  return names.sort().map((environment) => {
    const own = statuses.filter((one) => one.environment === environment)
    const hosts = [...new Set(own.flatMap((one) => one.hosts.map(({ host }) => host as string)))].sort()
    const columns = hosts.length <= maxColumns ? hosts : null
    return { environment, hosts: columns, rows: own.map((status) => rowOf(status, columns ?? [])) }
  })
}

const rowOf = (status: StatusView, columns: readonly string[]): GridRow => ({
  status,
  cells: columns.map((name) => status.hosts.find(({ host }) => host === name)),
  well: status.hosts.filter(isWell).length,
  unwell: status.hosts.filter((host) => !isWell(host))
})
