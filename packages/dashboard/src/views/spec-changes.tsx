// What changed between two revisions of a spec. Values of its environment are hashes for whoever may not read them.
import type { SpecView } from '@longshore/controller/api'
import { diffSpecs } from '@longshore/protocol/diff-specs'
import { useEffect, useState } from 'preact/hooks'
import { ask } from '../ask-controller.ts'
import { Ago } from '../parts/ago.tsx'
import { Table } from '../parts/table.tsx'

type Named = { environment: string; service: string }

const askSpec = ({ environment, service }: Named, revision?: number): Promise<SpecView> => {
  const query = revision === undefined ? '' : `?revision=${revision}`
  return ask('GET', `v1/environments/${environment}/services/${service}/spec${query}`)
}

export const SpecChanges = ({ environment, service }: Named) => {
  const [latest, setLatest] = useState<SpecView | string | null>(null)
  const [pair, setPair] = useState<readonly [before: number, after: number] | null>(null)
  useEffect(() => {
    askSpec({ environment, service }).then(
      (spec) => {
        setLatest(spec)
        setPair([Math.max(1, spec.revision - 1), spec.revision])
      },
      (error: Error) => setLatest(error.message)
    )
  }, [environment, service])
  if (latest === null) return <p>Asking the controller ...</p>
  if (typeof latest === 'string') return <p role="alert">{latest}</p>
  const revisions = Array.from({ length: latest.revision }, (_, index) => latest.revision - index)
  const choose = (label: string, value: number, change: (revision: number) => void) => (
    <label>
      {label}
      <select value={value} onChange={({ currentTarget }) => change(Number(currentTarget.value))}>
        {revisions.map((revision) => (
          <option key={revision} value={revision}>
            {revision}
          </option>
        ))}
      </select>
    </label>
  )
  return (
    <section>
      <h2>Spec</h2>
      <p class="dim">
        Revision {latest.revision}, applied <Ago atMs={latest.appliedAtMs} /> by {latest.appliedBy}.
        {latest.isHidden && ' Values of its environment are shown as hashes: the session has no read-values.'}
      </p>
      {pair !== null && (
        <>
          <div class="wishes">
            {choose('From revision', pair[0], (revision) => setPair([revision, pair[1]]))}
            {choose('to revision', pair[1], (revision) => setPair([pair[0], revision]))}
          </div>
          <Changes environment={environment} service={service} before={pair[0]} after={pair[1]} />
        </>
      )}
      <details>
        <summary>All of revision {latest.revision}</summary>
        <pre>{JSON.stringify(latest.spec, null, 2)}</pre>
      </details>
    </section>
  )
}

const show = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value))

const Changes = ({ environment, service, before, after }: Named & { before: number; after: number }) => {
  const [changes, setChanges] = useState<ReturnType<typeof diffSpecs> | string | null>(null)
  useEffect(() => {
    let isWanted = true
    const set = (found: typeof changes): void => {
      if (isWanted) setChanges(found)
    }
    Promise.all([before, after].map((revision) => askSpec({ environment, service }, revision))).then(
      ([one, other]) =>
        set(one !== undefined && other !== undefined ? diffSpecs(one.spec, other.spec) : null),
      (error: Error) => set(error.message)
    )
    return () => {
      isWanted = false
    }
  }, [environment, service, before, after])
  if (typeof changes === 'string') return <p role="alert">{changes}</p>
  if (changes === null) return <p>Asking the controller ...</p>
  if (changes.length === 0) return <p>Nothing differs.</p>
  return (
    <Table label="Changes of the spec" columns={['Where', 'Before', 'After']}>
      {changes.map((change) => (
        <tr key={change.path}>
          <th scope="row" class="mono">
            {change.path}
          </th>
          <td class="mono long">{show(change.before)}</td>
          <td class="mono long">{show(change.after)}</td>
        </tr>
      ))}
    </Table>
  )
}
