// One environment: its services against its hosts, with release, state and drift. With many hosts the services are
// rows alone, and only hosts that are not well are named.
import type { HostStatus } from '@longshore/controller/api'
import type { Grid, GridRow } from '../core/arrange-grid.ts'
import { addressOf } from '../core/read-route.ts'
import { Badge } from '../parts/badge.tsx'
import { Table } from '../parts/table.tsx'

const maxNamed = 8

export const ServiceGrid = ({ grid: { environment, hosts, rows } }: { grid: Grid }) => (
  <section>
    <h2>{environment}</h2>
    {rows.length === 0 ? (
      <p class="dim">No service has been applied to it.</p>
    ) : (
      <Table label={`Services of ${environment}`} columns={['Service', 'Release', ...(hosts ?? ['Hosts'])]}>
        {rows.map((row) => (
          <ServiceRow key={row.status.service} row={row} isCounted={hosts === null} />
        ))}
      </Table>
    )}
  </section>
)

const ServiceRow = ({ row, isCounted }: { row: GridRow; isCounted: boolean }) => {
  const { environment, service, release, tag, deployment, freeze } = row.status
  return (
    <tr>
      <th scope="row">
        <a href={addressOf({ view: 'service', environment, service })}>{service}</a>
      </th>
      <td>
        {release === null ? <span class="dim">none</span> : <ReleaseName release={release} tag={tag} />}
        {deployment !== null && (
          <>
            {' '}
            <a href={addressOf({ view: 'deployment', id: deployment })}>deploying</a>
          </>
        )}
        {freeze !== null && <span class="dim"> locked by {freeze.holder}</span>}
      </td>
      {isCounted ? (
        <Counted row={row} />
      ) : (
        row.cells.map((cell, index) => <HostCell key={cell?.host ?? index} cell={cell} />)
      )}
    </tr>
  )
}

export const ReleaseName = ({ release, tag }: { release: number; tag: string | null }) => (
  <>
    r{release} {tag !== null && <span class="dim">{tag}</span>}
  </>
)

const HostCell = ({ cell }: { cell: HostStatus | undefined }) => (
  <td>{cell === undefined ? <span class="dim">not here</span> : <HostOfService host={cell} />}</td>
)

/** What one host runs of a service. */
export const HostOfService = ({
  host: { state, release, drift, driftKind, convergence }
}: {
  host: HostStatus
}) => (
  <>
    <Badge state={state} /> {release !== null && <>r{release}</>}
    {drift !== undefined && (
      <span class="drift" title={drift}>
        {driftKind ?? 'differs'}: {drift}
      </span>
    )}
    {convergence?.isGivenUp === true && <span class="bad-text">given up: {convergence.reason}</span>}
  </>
)

const Counted = ({ row: { well, unwell, status } }: { row: GridRow }) => (
  <td>
    {well} of {status.hosts.length} run it well
    {unwell.slice(0, maxNamed).map(({ host, state, driftKind }) => (
      <span key={host} class="named">
        {host} <Badge state={driftKind ?? state} of={state} />
      </span>
    ))}
    {unwell.length > maxNamed && <span class="dim"> and {unwell.length - maxNamed} more</span>}
  </td>
)
