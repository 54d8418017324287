// Deployments: those under way, and those that ended lately.
import { useState } from 'preact/hooks'
import type { Followed } from '../core/fold-events.ts'
import { addressOf } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'
import { Ago } from '../parts/ago.tsx'
import { Badge } from '../parts/badge.tsx'
import { Table } from '../parts/table.tsx'

export const DeploymentsPage = () => {
  const { known } = usePage()
  const [text, setText] = useState('')
  const word = text.trim().toLowerCase()
  const all = [...known.live.deployments.values()]
    .filter(({ deployment: { id, environment, services, requestedBy } }) =>
      [id, environment, requestedBy, ...services.map(({ service }) => service)].some((one) =>
        one.toLowerCase().includes(word)
      )
    )
    .sort((a, b) => b.deployment.requestedAtMs - a.deployment.requestedAtMs)
  const active = all.filter(({ deployment }) => deployment.phase !== 'ended')
  const ended = all.filter(({ deployment }) => deployment.phase === 'ended')
  return (
    <>
      <h1>Deployments</h1>
      <search class="wishes">
        <label>
          Filter
          <input
            type="search"
            placeholder="service, environment, who"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </label>
      </search>
      <h2>Under way</h2>
      {active.length === 0 ? <p class="dim">None.</p> : <List label="Under way" all={active} />}
      <h2>Ended</h2>
      {ended.length === 0 ? <p class="dim">None.</p> : <List label="Ended" all={ended} />}
    </>
  )
}

const List = ({ label, all }: { label: string; all: readonly Followed[] }) => (
  <Table label={label} columns={['What', 'Environment', 'State', 'Hosts', 'Asked for', 'By']}>
    {all.map(({ deployment }) => (
      <tr key={deployment.id}>
        <th scope="row">
          <a href={addressOf({ view: 'deployment', id: deployment.id })}>
            {deployment.mode}{' '}
            {deployment.services.map(({ service, release }) => `${service} r${release}`).join(', ')}
          </a>
        </th>
        <td>{deployment.environment}</td>
        <td>
          <Badge state={deployment.outcome ?? deployment.phase} />
        </td>
        <td>{new Set(deployment.targets.map(({ host }) => host)).size}</td>
        <td>
          <Ago atMs={deployment.requestedAtMs} />
        </td>
        <td class="long">{deployment.requestedBy}</td>
      </tr>
    ))}
  </Table>
)
