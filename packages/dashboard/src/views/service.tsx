// One service: what is current in each environment, its releases over time, and what changed in its spec.
import type { ReleaseView, StatusView } from '@longshore/controller/api'
import { useEffect, useState } from 'preact/hooks'
import { ask } from '../ask-controller.ts'
import { isWell } from '../core/arrange-grid.ts'
import { mayDo } from '../core/may-do.ts'
import { addressOf } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'
import { Ago } from '../parts/ago.tsx'
import { Badge } from '../parts/badge.tsx'
import { BuildName } from '../parts/build-name.tsx'
import { ConfirmButton } from '../parts/confirm-button.tsx'
import { LogsLink } from '../parts/logs-link.tsx'
import { Table } from '../parts/table.tsx'
import { HostOfService, ReleaseName } from './service-grid.tsx'
import { SpecChanges } from './spec-changes.tsx'

type Named = { environment: string; service: string }
const maxHosts = 100

export const ServicePage = ({ environment, service }: Named) => {
  const { known } = usePage()
  const statuses = known.statuses.filter((one) => one.service === service)
  const own = statuses.find((one) => one.environment === environment)
  return (
    <>
      <h1>{service}</h1>
      <ul class="cards">
        {statuses.map((status) => (
          <Current key={status.environment} status={status} isOwn={status.environment === environment} />
        ))}
      </ul>
      <p>
        <LogsLink environment={environment} service={service} />
      </p>
      {known.isLoaded && own === undefined && (
        <p>It has not been applied to {environment}, or may not be seen.</p>
      )}
      {own !== undefined && (
        <>
          <Hosts status={own} />
          <Releases
            key={`${environment}/${service}`}
            environment={environment}
            service={service}
            current={own.release}
          />
          <SpecChanges key={`spec ${environment}/${service}`} environment={environment} service={service} />
        </>
      )}
    </>
  )
}

const Current = ({ status, isOwn }: { status: StatusView; isOwn: boolean }) => {
  const { environment, service, release, tag, digest, deployment, hosts, traffic } = status
  return (
    <li class={isOwn ? 'card own' : 'card'}>
      <a
        href={addressOf({ view: 'service', environment, service })}
        aria-current={isOwn ? 'true' : undefined}
      >
        {environment}
      </a>
      <p>{release === null ? 'no release' : <ReleaseName release={release} tag={tag} />}</p>
      <p class="dim mono">{digest?.slice(0, 19)}</p>
      <p>
        {hosts.filter(isWell).length} of {hosts.length} hosts run it well
      </p>
      {traffic !== undefined && <p class="dim">{traffic.requestsPerSecond.toFixed(1)} requests/s</p>}
      {deployment !== null && <a href={addressOf({ view: 'deployment', id: deployment })}>deploying</a>}
    </li>
  )
}

const Hosts = ({ status: { environment, service, hosts } }: { status: StatusView }) => {
  const shown = hosts.toSorted((a, b) => Number(isWell(a)) - Number(isWell(b))).slice(0, maxHosts)
  return (
    <section>
      <h2>Hosts in {environment}</h2>
      {hosts.length === 0 && <p class="dim">None.</p>}
      <ul class="host-states">
        {shown.map((host) => (
          <li key={host.host}>
            <strong>{host.host}</strong> <HostOfService host={host} />{' '}
            <LogsLink environment={environment} service={service} host={host.host} />
          </li>
        ))}
      </ul>
      {hosts.length > shown.length && (
        <p class="dim">{hosts.length - shown.length} more, all of them well or below these.</p>
      )}
    </section>
  )
}

const Releases = ({ environment, service, current }: Named & { current: number | null }) => {
  const [releases, setReleases] = useState<ReleaseView[] | string | null>(null)
  useEffect(() => {
    const query = new URLSearchParams({ environment, service })
    ask<ReleaseView[]>('GET', `v1/releases?${query}`).then(setReleases, (error: Error) =>
      setReleases(error.message)
    )
  }, [environment, service, current])
  return (
    <section>
      <h2>Releases in {environment}</h2>
      {typeof releases === 'string' && <p role="alert">{releases}</p>}
      {releases === null && <p>Asking the controller ...</p>}
      {Array.isArray(releases) && releases.length === 0 && <p class="dim">None.</p>}
      {Array.isArray(releases) && releases.length > 0 && <ReleaseTable releases={releases} />}
    </section>
  )
}

const ReleaseTable = ({ releases }: { releases: readonly ReleaseView[] }) => (
  <Table
    label="Releases"
    columns={['Release', 'Outcome', 'Tag', 'Digest', 'Spec', 'Made', 'By', 'Build', 'Go back']}
  >
    {releases.map((one) => (
      <tr key={one.release}>
        <th scope="row">
          <a href={addressOf({ view: 'deployment', id: one.deployment })}>r{one.release}</a>
          {one.isCurrent && ' current'}
        </th>
        <td>
          <Badge state={one.outcome ?? 'under way'} />
        </td>
        <td>{one.tag ?? <span class="dim">none</span>}</td>
        <td class="mono">{one.digest?.slice(0, 19) ?? 'not resolved'}</td>
        <td>{one.specRevision}</td>
        <td>
          <Ago atMs={one.createdAtMs} />
        </td>
        <td class="long">{one.createdBy}</td>
        <td class="long">
          {one.build === null ? <span class="dim">none</span> : <BuildName build={one.build} />}
        </td>
        <td>
          <GoBack release={one} />
        </td>
      </tr>
    ))}
  </Table>
)

const GoBack = ({ release: one }: { release: ReleaseView }) => {
  const { session } = usePage()
  const { environment, service, release, isCurrent, outcome } = one
  const isAllowed = mayDo(session.allow, 'rollback', environment, service)
  if (isCurrent || outcome !== 'succeeded' || !isAllowed) return <span class="dim">no</span>
  const what = { by: 'rollback', release }
  return (
    <ConfirmButton
      label={`To r${release}`}
      isDangerous
      question={`Bring ${service} in ${environment} back to release ${release}?`}
      act={async () => {
        const { id } = await ask<{ id: string }>('POST', 'v1/deployments', { service, environment, what })
        location.hash = addressOf({ view: 'deployment', id })
      }}
    />
  )
}
