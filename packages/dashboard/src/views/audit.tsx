// Who did what, newest first.
import type { AuditView } from '@longshore/controller/api'
import { useEffect, useState } from 'preact/hooks'
import { ask } from '../ask-controller.ts'
import { Ago } from '../parts/ago.tsx'
import { Table } from '../parts/table.tsx'

const pageSize = 50
const fields = ['who', 'action', 'subject', 'outcome'] as const
type Wish = Partial<Record<(typeof fields)[number], string>>

const askAudit = (wish: Wish, before?: number): Promise<AuditView[]> => {
  const query = new URLSearchParams({ limit: String(pageSize) })
  for (const field of fields) if (wish[field]) query.set(field, wish[field])
  if (before !== undefined) query.set('before', String(before))
  return ask('GET', `v1/audit?${query}`)
}

export const AuditPage = () => {
  const [wish, setWish] = useState<Wish>({})
  const [entries, setEntries] = useState<AuditView[] | null>(null)
  const [refusal, setRefusal] = useState<string | null>(null)
  const read = async (before?: number): Promise<void> => {
    setRefusal(null)
    try {
      const found = await askAudit(wish, before)
      setEntries((former) => (before === undefined ? found : [...(former ?? []), ...found]))
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error))
    }
  }
  useEffect(() => {
    void read()
  }, [])
  const last = entries?.at(-1)?.number
  return (
    <>
      <h1>Audit</h1>
      <form
        class="wishes"
        onSubmit={(event) => {
          event.preventDefault()
          void read()
        }}
      >
        {fields.map((field) => (
          <label key={field}>
            {field}
            <input
              value={wish[field] ?? ''}
              placeholder={field === 'action' ? 'deployment.*' : undefined}
              onInput={({ currentTarget }) => setWish({ ...wish, [field]: currentTarget.value })}
            />
          </label>
        ))}
        <button type="submit">Look</button>
      </form>
      <p role="alert">{refusal}</p>
      {entries?.length === 0 && <p class="dim">No entry fits.</p>}
      {entries !== null && entries.length > 0 && <Entries entries={entries} />}
      {last !== undefined && last > 1 && (
        <p>
          <button type="button" onClick={() => void read(last)}>
            Older ones
          </button>
        </p>
      )}
    </>
  )
}

const Entries = ({ entries }: { entries: readonly AuditView[] }) => (
  <Table label="Entries" columns={['Number', 'When', 'Who', 'From', 'Action', 'Subject', 'Outcome']}>
    {entries.map((one) => (
      <tr key={one.number}>
        <th scope="row">{one.number}</th>
        <td>
          <Ago atMs={one.atMs} />
        </td>
        <td class="long">{one.actorName || one.actorKind}</td>
        <td>{one.address}</td>
        <td>{one.action}</td>
        <td class="long">{one.subject}</td>
        <td>{one.outcome}</td>
      </tr>
    ))}
  </Table>
)
