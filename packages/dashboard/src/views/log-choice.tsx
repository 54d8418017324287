// What is to be read: service, hosts, how far back, which lines. Nothing happens before the button is pressed.
import { useEffect, useState } from 'preact/hooks'
import { hostsOfService, readableServices } from '../core/log-sources.ts'
import { type LogWish, maxGrepChars, maxLogHosts, maxTailLines, parseSpan } from '../core/log-wish.ts'
import { addressOf, type LogsRoute } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'

type Chosen = { route: LogsRoute; read: (chosen: LogsRoute) => void }

export const LogChoice = ({ route, read }: Chosen) => {
  const { session, known } = usePage()
  const [draft, setDraft] = useState(route)
  // by a link, or back to a former choice
  useEffect(() => setDraft(route), [addressOf(route)])
  const { environment, service, wish } = draft
  const offered = readableServices(known.statuses, session.allow)
  const services = withOwn(offered.find((one) => one.environment === environment)?.services, service)
  const environments = withOwn(
    offered.map((one) => one.environment),
    environment
  )
  const change = (part: Partial<LogWish>): void => setDraft({ ...draft, wish: { ...wish, ...part } })
  const isReadable = environment !== null && service !== null && isSpan(wish.since)
  return (
    <form
      class="wishes log-choice"
      onSubmit={(event) => {
        event.preventDefault()
        if (isReadable) read(draft)
      }}
    >
      <Choice
        label="Environment"
        names={environments}
        chosen={environment}
        choose={(name) =>
          setDraft({ ...draft, environment: name, service: null, wish: { ...wish, hosts: [] } })
        }
      />
      <Choice
        label="Service"
        names={services}
        chosen={service}
        choose={(name) => setDraft({ ...draft, service: name, wish: { ...wish, hosts: [] } })}
      />
      <Hosts draft={draft} change={(hosts) => change({ hosts })} />
      <label>
        Not older than
        <input
          class="short"
          placeholder="10m, 2h, 7d"
          value={wish.since}
          aria-invalid={!isSpan(wish.since)}
          aria-describedby="since-help"
          onInput={({ currentTarget }) => change({ since: currentTarget.value.trim() })}
        />
      </label>
      <label>
        Last lines of each
        <input
          class="short"
          type="number"
          min="1"
          max={maxTailLines}
          placeholder="all"
          value={wish.tail ?? ''}
          onInput={({ currentTarget }) => change({ tail: currentTarget.valueAsNumber || null })}
        />
      </label>
      <label>
        With this text
        <input
          maxLength={maxGrepChars}
          placeholder="letter by letter"
          value={wish.grep}
          onInput={({ currentTarget }) => change({ grep: currentTarget.value })}
        />
      </label>
      <label class="tick">
        <input
          type="checkbox"
          checked={wish.isFollowed}
          onChange={({ currentTarget }) => change({ isFollowed: currentTarget.checked })}
        />
        Follow
      </label>
      <button type="submit" class="main" disabled={!isReadable}>
        Read
      </button>
      <p role="status" id="since-help" class="bad-text">
        {!isSpan(wish.since) && 'Not older than: a duration with a unit, for example 90s, 10m, 2h or 7d.'}
      </p>
      {known.isLoaded && offered.length === 0 && <p>There is no service whose logs this session may read.</p>}
    </form>
  )
}

const isSpan = (text: string): boolean => text === '' || parseSpan(text) !== null

/** What an address names is shown, known or not. */
const withOwn = (names: readonly string[] = [], own: string | null): readonly string[] =>
  own === null || names.includes(own) ? names : [own, ...names]

type Choosable = {
  label: string
  names: readonly string[]
  chosen: string | null
  choose: (name: string | null) => void
}

const Choice = ({ label, names, chosen, choose }: Choosable) => (
  <label>
    {label}
    <select value={chosen ?? ''} onChange={({ currentTarget }) => choose(currentTarget.value || null)}>
      <option value="">choose</option>
      {names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  </label>
)

/** Further ones are found by typing. */
const maxOffered = 50

const Hosts = ({ draft, change }: { draft: LogsRoute; change: (hosts: readonly string[]) => void }) => {
  const { known } = usePage()
  const [text, setText] = useState('')
  const { environment, service, wish } = draft
  if (environment === null || service === null) return null
  const all = hostsOfService(known.statuses, known.live.agents.values(), { environment, service })
  const names = [...new Set([...wish.hosts, ...all])]
  const fitting = names.filter((name) => name.includes(text.trim()))
  const toggle = (name: string, isWanted: boolean): void =>
    change(isWanted ? [...wish.hosts, name] : wish.hosts.filter((one) => one !== name))
  return (
    <details class="log-hosts">
      <summary>Hosts: {wish.hosts.length === 0 ? `all ${all.length}` : wish.hosts.join(', ')}</summary>
      <fieldset>
        <legend>None ticked: all of them, {maxLogHosts} at most</legend>
        {names.length > 12 && (
          <label>
            Find a host
            <input type="search" value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} />
          </label>
        )}
        {fitting.slice(0, maxOffered).map((name) => (
          <label key={name} class="tick">
            <input
              type="checkbox"
              checked={wish.hosts.includes(name)}
              onChange={({ currentTarget }) => toggle(name, currentTarget.checked)}
            />
            {name}
          </label>
        ))}
        {fitting.length > maxOffered && <p>{fitting.length - maxOffered} more: type to find them.</p>}
      </fieldset>
    </details>
  )
}
