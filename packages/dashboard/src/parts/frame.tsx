// What is around every view: the way to the others, whether what is shown is live, and who has signed in.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { mayReadSomeLogs } from '../core/log-sources.ts'
import { defaultWish } from '../core/log-wish.ts'
import { addressOf, placeOf, type Route } from '../core/read-route.ts'
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
  { title: 'Fleet', route: { view: 'fleet' }, also: ['host', 'service'] },
  { title: 'Deployments', route: { view: 'deployments' }, also: ['deployment'] },
  { title: 'Logs', route: { view: 'logs', environment: null, service: null, wish: defaultWish }, also: [] },
  { title: 'Audit', route: { view: 'audit' }, also: [] },
  { title: 'Tokens and joins', route: { view: 'tokens' }, also: [] }
] as const

export const Frame = ({ route, state, lost, leave, children }: Framed) => {
  const { session, known } = usePage()
  const main = useFocusOnArrival(route.view === 'logs' ? route.view : placeOf(route))
  const isReader = mayReadSomeLogs(session.allow)
  const offered = places.filter((place) => place.route.view !== 'logs' || isReader)
  return (
    <>
      <header>
        <button type="button" class="skip" onClick={() => main.current?.focus()}>
          To the content
        </button>
        <strong class="brand">Longshore</strong>
        <nav aria-label="Views">
          {offered.map(({ title, route: there, also }) => {
            const isHere = route.view === there.view || (also as readonly string[]).includes(route.view)
            return (
              <a key={title} href={addressOf(there)} aria-current={isHere ? 'page' : undefined}>
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
      {known.refusal !== null && state !== 'lost' && <p role="alert">{known.refusal}</p>}
      <main ref={main} tabIndex={-1} class={state === 'live' ? '' : 'stale'}>
        {children}
      </main>
    </>
  )
}

/**
 * Whoever goes to another view by keyboard is there, not at the top of the page.
 * @param place another one is another view
 */
const useFocusOnArrival = (place: string) => {
  const main = useRef<HTMLElement>(null)
  const first = useRef(place)
  useEffect(() => {
    if (first.current === place) return
    first.current = place
    main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [place])
  return main
}
