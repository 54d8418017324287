// One host: what it is, what it runs.
import type { AgentView } from '@longshore/controller/api'
import { addressOf } from '../core/read-route.ts'
import { showBytes } from '../core/show-amount.ts'
import { usePage } from '../page-context.ts'
import { Ago } from '../parts/ago.tsx'
import { Badge } from '../parts/badge.tsx'
import { LogsLink } from '../parts/logs-link.tsx'
import { Table } from '../parts/table.tsx'
import { HostStateBadge } from './host-line.tsx'

export const HostPage = ({ id }: { id: string }) => {
  const { known } = usePage()
  const agent = known.live.agents.get(id)
  if (agent === undefined)
    return (
      <p>{known.isLoaded ? `There is no host ${id}, or it may not be seen.` : 'Asking the controller ...'}</p>
    )
  return (
    <>
      <h1>{agent.name}</h1>
      <p>
        <HostStateBadge agent={agent} /> in <strong>{agent.environment}</strong>
      </p>
      {agent.reason !== undefined && <p>{agent.reason}</p>}
      <Facts agent={agent} />
      <Containers agent={agent} />
    </>
  )
}

const Facts = ({ agent }: { agent: AgentView }) => {
  const { facts, inventory, policy } = agent
  const labels = Object.entries(agent.labels).map(([key, value]) => `${key}=${value}`)
  const bytes = (amount: number | null | undefined): string =>
    amount === null || amount === undefined ? 'not known' : showBytes(amount)
  const lines: [name: string, value: string][] = [
    ['Id', agent.id],
    ['Labels', labels.join(', ') || 'none'],
    ['Agent', agent.agentVersion ?? 'not known'],
    ['Engine', facts?.engineVersion ?? 'none'],
    ['System', facts === null ? 'not known' : `${facts.os}, ${facts.kernel}, ${facts.architecture}`],
    ['Disk', `${bytes(inventory?.diskFreeBytes)} free of ${bytes(inventory?.diskTotalBytes)}`],
    ['Memory', `${bytes(inventory?.memoryFreeBytes)} free of ${bytes(facts?.memoryBytes)}`],
    ['Load', inventory?.load?.toFixed(2) ?? 'not known'],
    ['Policy', policy === null ? 'not known' : `${policy.state} ${policy.detail}`],
    ['Clock', agent.clockSkewMs === null ? 'not known' : `${agent.clockSkewMs} ms off`]
  ]
  return (
    <dl>
      {lines.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

const Containers = ({
  agent: { name: host, environment, inventory, inventoryAtMs }
}: {
  agent: AgentView
}) => (
  <section>
    <h2>Containers</h2>
    {inventory === null ? (
      <p class="dim">Not known: the host has not been heard since the controller started.</p>
    ) : (
      <>
        <p class="dim">
          As told <Ago atMs={inventoryAtMs} />.
        </p>
        {!inventory.isEngineReachable && <p class="bad-text">The engine does not answer.</p>}
        {inventory.containers.length === 0 ? (
          <p>None of ours.</p>
        ) : (
          <Table
            label="Containers"
            columns={['Name', 'Service', 'Release', 'State', 'Health', 'Started', 'Restarts', 'Logs']}
          >
            {inventory.containers.map((one) => (
              <tr key={one.id}>
                <th scope="row">{one.name}</th>
                <td>
                  <a href={addressOf({ view: 'service', environment, service: one.service })}>
                    {one.service}
                  </a>
                </td>
                <td>r{one.release}</td>
                <td>
                  {one.role === 'kept' ? <span class="dim">kept</span> : <Badge state={one.state} />}
                  {one.exitCode !== null && one.state === 'exited' && <> code {one.exitCode}</>}
                </td>
                <td>
                  {one.health === 'none' ? (
                    <span class="dim">not checked</span>
                  ) : (
                    <Badge state={one.health} />
                  )}
                </td>
                <td>
                  <Ago atMs={one.startedAtMs} />
                </td>
                <td>{one.restartCount}</td>
                <td>
                  <LogsLink environment={environment} service={one.service} host={host} />
                </td>
              </tr>
            ))}
          </Table>
        )}
      </>
    )}
  </section>
)
