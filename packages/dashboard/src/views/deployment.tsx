// One deployment as it goes: what it brings, how far it is, why it stopped. The hosts are in deployment-targets.
import type { DeploymentView } from '@longshore/controller/api'
import { useEffect, useState } from 'preact/hooks'
import { ask } from '../ask-controller.ts'
import { countTargets } from '../core/arrange-targets.ts'
import { cleanLine } from '../core/clean-line.ts'
import { addressOf } from '../core/read-route.ts'
import { showPace } from '../core/show-amount.ts'
import { usePage } from '../page-context.ts'
import { Ago } from '../parts/ago.tsx'
import { Badge } from '../parts/badge.tsx'
import { BuildName } from '../parts/build-name.tsx'
import { LogsLink } from '../parts/logs-link.tsx'
import { Table } from '../parts/table.tsx'
import { DeploymentButtons } from './deployment-buttons.tsx'
import { DeploymentTargets } from './deployment-targets.tsx'

export const DeploymentPage = ({ id }: { id: string }) => {
  const { known } = usePage()
  const followed = known.live.deployments.get(id)
  const [asked, setAsked] = useState<DeploymentView | string | null>(null)
  const isFollowed = followed !== undefined
  useEffect(() => {
    // ended too long ago to be among those that are followed
    if (isFollowed || !known.isLoaded) return
    ask<DeploymentView>('GET', `v1/deployments/${encodeURIComponent(id)}`).then(setAsked, (error: Error) =>
      setAsked(error.message)
    )
  }, [id, isFollowed, known.isLoaded])
  const deployment = followed?.deployment ?? asked
  if (deployment === null) return <p>Asking the controller ...</p>
  if (typeof deployment === 'string') return <p role="alert">{deployment}</p>
  return (
    <>
      <h1>
        {deployment.mode} {deployment.services.map(({ service }) => service).join(', ')}
      </h1>
      <p>
        <Badge state={deployment.outcome ?? deployment.phase} /> in <strong>{deployment.environment}</strong>
        <Batch deployment={deployment} />
        {deployment.isCancelRequested && deployment.phase !== 'ended' && ', somebody wants it to go back'}
      </p>
      {deployment.reason !== null && <p>{deployment.reason}</p>}
      <Pause deployment={deployment} />
      <DeploymentButtons deployment={deployment} />
      <Origin deployment={deployment} heardAtMs={followed?.heardAtMs ?? null} />
      <Services deployment={deployment} />
      <Remarks deployment={deployment} log={followed?.log ?? []} />
      <p class="counts">
        {countTargets(deployment.targets).map(([state, count]) => (
          <span key={state}>
            <strong>{count}</strong> <Badge state={state} />
          </span>
        ))}
      </p>
      <DeploymentTargets deployment={deployment} />
    </>
  )
}

const Batch = ({ deployment: { batch, targets, phase } }: { deployment: DeploymentView }) => {
  if (batch === undefined || phase !== 'rolling') return null
  const last = Math.max(...targets.map((target) => target.batch ?? 0))
  return <>, batch {last > batch ? `${batch} of ${last}` : batch}</>
}

const Pause = ({ deployment: { pause } }: { deployment: DeploymentView }) =>
  pause === undefined ? null : (
    <p class="notice">
      It waits: {pause.reason}. It goes back by itself <Ago atMs={pause.untilMs} />.
    </p>
  )

const Origin = ({ deployment, heardAtMs }: { deployment: DeploymentView; heardAtMs: number | null }) => (
  <p class="dim">
    <span class="mono">{deployment.id}</span>, asked for <Ago atMs={deployment.requestedAtMs} /> by{' '}
    {deployment.requestedBy}
    {deployment.requestReason !== null && <> ({deployment.requestReason})</>}
    {deployment.build !== null && (
      <>
        , build <BuildName build={deployment.build} />
      </>
    )}
    {deployment.endedAtMs !== null && (
      <>
        , ended <Ago atMs={deployment.endedAtMs} />
      </>
    )}
    {deployment.endedAtMs === null && heardAtMs !== null && (
      <>
        , last heard of <Ago atMs={heardAtMs} />
      </>
    )}
  </p>
)

const Services = ({ deployment: { environment, services } }: { deployment: DeploymentView }) => (
  <Table label="What it brings" columns={['Service', 'Release', 'Image', 'Pace', 'Release command']}>
    {services.map((one) => (
      <tr key={one.service}>
        <th scope="row">
          <a href={addressOf({ view: 'service', environment, service: one.service })}>{one.service}</a>{' '}
          <LogsLink environment={environment} service={one.service} />
        </th>
        <td>
          {one.previousRelease === null ? 'none' : `r${one.previousRelease}`} to r{one.release}, spec{' '}
          {one.specRevision}
          {one.unchanged && ', nothing changes'}
        </td>
        <td class="long mono">
          {one.repository}
          {one.tag !== null && `:${one.tag}`}{' '}
          {one.digest === null ? 'not resolved yet' : one.digest.slice(0, 19)}
          {one.cache !== undefined && ` (controller: ${one.cache})`}
        </td>
        <td>{one.rollout !== undefined && showPace(one.rollout)}</td>
        <td>
          {one.releaseCommand === undefined ? (
            <span class="dim">none</span>
          ) : (
            <>
              {one.releaseCommand.state} {one.releaseCommand.host !== null && `on ${one.releaseCommand.host}`}
            </>
          )}
        </td>
      </tr>
    ))}
  </Table>
)

const Remarks = ({ deployment, log }: { deployment: DeploymentView; log: readonly string[] }) => {
  const lines =
    log.length > 0 ? log : deployment.services.flatMap(({ releaseCommand }) => releaseCommand?.log ?? [])
  const refusals = deployment.refusals ?? []
  return (
    <>
      {deployment.warnings.map((text) => (
        <p key={text} class="notice">
          {text}
        </p>
      ))}
      {refusals.map(({ code, detail }) => (
        <p key={`${code} ${detail}`} class="notice">
          {code}: {detail}
        </p>
      ))}
      {lines.length > 0 && (
        <>
          <h2>Output of the release command</h2>
          <pre>{lines.map(cleanLine).join('\n')}</pre>
        </>
      )}
    </>
  )
}
