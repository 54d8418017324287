// The fleet: what runs where, and every host.
import { useMemo, useState } from 'preact/hooks'
import { arrangeGrids } from '../core/arrange-grid.ts'
import {
  arrangeHosts,
  countStates,
  type Grouping,
  groupings,
  type HostState,
  type HostWish,
  hostStates
} from '../core/arrange-hosts.ts'
import { usePage } from '../page-context.ts'
import { Badge } from '../parts/badge.tsx'
import { LongList } from '../parts/long-list.tsx'
import { HostLine } from './host-line.tsx'
import { ServiceGrid } from './service-grid.tsx'

/** As in style.css. */
const rowHeight = 56

export const FleetPage = () => {
  const { known } = usePage()
  const { live, statuses, environments } = known
  const counts = useMemo(() => countStates(live.agents.values()), [live.agents])
  const grids = useMemo(() => arrangeGrids(statuses, environments), [statuses, environments])
  return (
    <>
      <h1>Fleet</h1>
      <p class="counts">
        {hostStates.map((state) => (
          <span key={state}>
            <strong>{counts[state]}</strong> <Badge state={state} />
          </span>
        ))}
      </p>
      {grids.map((grid) => (
        <ServiceGrid key={grid.environment} grid={grid} />
      ))}
      <Hosts />
    </>
  )
}

const Hosts = () => {
  const { known } = usePage()
  const { agents } = known.live
  const [wish, setWish] = useState<HostWish>({
    text: '',
    environment: null,
    state: null,
    groupBy: 'environment'
  })
  const rows = useMemo(() => arrangeHosts(agents.values(), wish), [agents, wish])
  const shown = rows.filter(({ kind }) => kind === 'host').length
  return (
    <section>
      <h2>Hosts</h2>
      <HostWishes wish={wish} change={(part) => setWish({ ...wish, ...part })} />
      <p role="status" class="dim">
        {shown === agents.size ? `${agents.size} hosts` : `${shown} of ${agents.size} hosts`}
      </p>
      {rows.length > 0 && (
        <LongList
          label="Hosts"
          count={rows.length}
          rowHeight={rowHeight}
          keyOf={(index) => rows[index]?.key ?? String(index)}
          row={(index) => {
            const row = rows[index]
            if (row?.kind === 'host') return <HostLine agent={row.agent} />
            return (
              <p class="group">
                {row?.title} <span class="dim">{row?.count}</span>
              </p>
            )
          }}
        />
      )}
    </section>
  )
}

const HostWishes = ({ wish, change }: { wish: HostWish; change: (part: Partial<HostWish>) => void }) => {
  const { known } = usePage()
  return (
    <search class="wishes">
      <label>
        Filter
        <input
          type="search"
          placeholder="name, service, zone=a"
          value={wish.text}
          onInput={({ currentTarget }) => change({ text: currentTarget.value })}
        />
      </label>
      <label>
        Environment
        <select
          value={wish.environment ?? ''}
          onChange={({ currentTarget }) => change({ environment: currentTarget.value || null })}
        >
          <option value="">all</option>
          {known.environments.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        State
        <select
          value={wish.state ?? ''}
          onChange={({ currentTarget }) =>
            change({ state: (currentTarget.value || null) as HostState | null })
          }
        >
          <option value="">all</option>
          {hostStates.map((state) => (
            <option key={state}>{state}</option>
          ))}
        </select>
      </label>
      <label>
        Group by
        <select
          value={wish.groupBy}
          onChange={({ currentTarget }) => change({ groupBy: currentTarget.value as Grouping })}
        >
          {groupings.map((grouping) => (
            <option key={grouping}>{grouping}</option>
          ))}
        </select>
      </label>
    </search>
  )
}
