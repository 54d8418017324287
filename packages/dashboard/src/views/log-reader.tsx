// One log that is read: how it is with it, what can be done about it, and its lines. It ends when the view is left.
import { useEffect, useState } from 'preact/hooks'
import { emptyBook, isFull, type LogBook } from '../core/log-book.ts'
import { fitsIn } from '../core/log-search.ts'
import type { LogSource } from '../core/log-wish.ts'
import type { LogConnection } from '../follow-logs.ts'
import { createLogStore, type LogStore } from '../log-store.ts'
import { usePage } from '../page-context.ts'
import { Badge } from '../parts/badge.tsx'
import { LogLines, type LogLooks } from './log-lines.tsx'

type Read = { source: LogSource; looks: LogLooks; setLooks: (looks: LogLooks) => void }

export const LogReader = ({ source, looks, setLooks }: Read) => {
  const { clockAheadMs } = usePage().known
  const [store, setStore] = useState<LogStore | null>(null)
  const [, draw] = useState(0)
  const [search, setSearch] = useState('')
  useEffect(() => {
    const made = createLogStore(source, clockAheadMs, () => draw((count) => count + 1))
    setStore(made)
    return made.stop
  }, [])
  const book = store?.book ?? emptyBook
  const needle = search.toLowerCase()
  return (
    <section aria-label="Log">
      <div class="wishes">
        <button
          type="button"
          disabled={store === null || isOver(store.connection)}
          onClick={() => (book.isPaused ? store?.resume() : store?.pause())}
        >
          {book.isPaused ? 'Go on' : 'Pause'}
        </button>
        <label>
          Search these lines
          <input
            type="search"
            value={search}
            onInput={({ currentTarget }) => setSearch(currentTarget.value)}
          />
        </label>
        <label class="tick">
          <input
            type="checkbox"
            checked={looks.isWrapped}
            onChange={({ currentTarget }) => setLooks({ ...looks, isWrapped: currentTarget.checked })}
          />
          Wrap
        </label>
        <label class="tick">
          <input
            type="checkbox"
            checked={looks.hasTimes}
            onChange={({ currentTarget }) => setLooks({ ...looks, hasTimes: currentTarget.checked })}
          />
          Times
        </label>
      </div>
      <p role="status">{store !== null && describe(store.connection, book, source)}</p>
      <Figures book={book} needle={needle} />
      <LogLines book={book} needle={needle} {...looks} />
    </section>
  )
}

const isOver = ({ state }: LogConnection): boolean => state === 'ended' || state === 'refused'

/** Said once for each change, not for each line. */
const describe = (connection: LogConnection, book: LogBook, { wish }: LogSource): string => {
  if (connection.state === 'refused') return `It cannot be read: ${connection.reason}`
  if (isFull(book))
    return `Paused. So much waits that no more is taken until you go on${fullness(wish.isFollowed)}.`
  if (book.isPaused) return 'Paused. What comes waits.'
  switch (connection.state) {
    case 'asking':
      return 'Asking the controller ...'
    case 'reading':
      return wish.isFollowed ? 'Following.' : 'Reading.'
    case 'lost':
      return `Not connected: ${connection.reason}. Trying again.`
    default:
      return 'Ended: nothing more comes.'
  }
}

const fullness = (isFollowed: boolean): string =>
  isFollowed ? ': hosts leave out what they cannot keep, and say how many lines' : ''

const Figures = ({ book, needle }: { book: LogBook; needle: string }) => {
  const { shown, waiting, hosts } = book
  const apart = [...hosts].filter(([, { state }]) => state !== 'reading' && state !== 'complete')
  return (
    <p class="dim figures">
      {needle !== '' && <span>{fitsIn(shown, needle)} fit, of </span>}
      <span>{shown.lines === 1 ? '1 line' : `${shown.lines} lines`}</span>
      {waiting.rows > 0 && <strong>, {waiting.rows} wait</strong>}
      {shown.dropped > 0 && <span>, {shown.dropped} older ones are no longer on this page</span>}
      {hosts.size > 0 && (
        <span>
          ; {hosts.size - apart.length} of {hosts.size} hosts are read
        </span>
      )}
      {apart.map(([name, { state }]) => (
        <span key={name}>
          {' '}
          {name} <Badge state={state ?? 'not known'} />
        </span>
      ))}
    </p>
  )
}
