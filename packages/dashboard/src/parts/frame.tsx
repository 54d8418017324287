// What is around every view: the way to the others, whether what is shown is live, and who has signed in.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { addressOf, type Route } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'

type Framed = {
  route: Route
  state: 'connecting' | 'live' | 'lost'
  /** Said while the connection is lost. */
  lost: ComponentChildren
  leave: () => void
  children: ComponentChildren
}

const places = [
  { title: 'Fleet', view: 'fleet', also: ['host', 'service'] },
  { title: 'Deployments', view: 'deployments', also: ['deployment'] },
  { title: 'Audit', view: 'audit', also: [] },
  { title: 'Tokens and joins', view: 'tokens', also: [] }
] as const

export const Frame = ({ route, state, lost, leave, children }: Framed) => {
  const { session, known } = usePage()
  const main = useFocusOnArrival(addressOf(route))
  return (
    <>
      <header>
        <button type="button" class="skip" onClick={() => main.current?.focus()}>
          To the content
        </button>
        <strong class="brand">Longshore</strong>
        <nav aria-label="Views">
          {places.map(({ title, view, also }) => {
            const isHere = route.view === view || (also as readonly string[]).includes(route.view)
            return (
              <a key={view} href={addressOf({ view })} aria-current={isHere ? 'page' : undefined}>
                {title}
              </a>
            )
          })}
        </nav>
        <span class={`connection ${state}`}>{state === 'lost' ? 'connection lost' : state}</span>
        <span class="who">
          <span class="dim">{session.name}</span>
          <button type="button" onClick={leave}>
            Sign out
          </button>
        </span>
      </header>
      <div role="status" class="banner">
        {state === 'lost' && <p>{lost}</p>}
      </div>
      {known.refusal !== null && state === 'live' && <p role="alert">{known.refusal}</p>}
      <main ref={main} tabIndex={-1} class={state === 'live' ? '' : 'stale'}>
        {children}
      </main>
    </>
  )
}

/** Whoever goes to another view by keyboard is there, not at the top of the page. */
const useFocusOnArrival = (address: string) => {
  const main = useRef<HTMLElement>(null)
  const first = useRef(address)
  useEffect(() => {
    if (first.current === address) return
    first.current = address
    main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [address])
  return main
}
