// The page put together: who has signed in, what keeps the views true, and the view that the address names.
import type { SessionView } from '@longshore/controller/api'
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { AskError, ask } from './ask-controller.ts'
import { clockAhead, judgeConnection } from './core/connection.ts'
import { type Route, readRoute } from './core/read-route.ts'
import { pageContext, useEachSecond } from './page-context.ts'
import { createPageStore, type Known, momentNow, type PageStore } from './page-store.ts'
import { Ago } from './parts/ago.tsx'
import { Frame } from './parts/frame.tsx'
import { SignIn } from './sign-in.tsx'
import { AuditPage } from './views/audit.tsx'
import { DeploymentPage } from './views/deployment.tsx'
import { DeploymentsPage } from './views/deployments.tsx'
import { FleetPage } from './views/fleet.tsx'
import { HostPage } from './views/host.tsx'
import { LogsPage } from './views/logs.tsx'
import { ServicePage } from './views/service.tsx'
import { TokensPage } from './views/tokens.tsx'

const tryAgainMs = 2000

const Page = () => {
  const [signedIn, setSignedIn] = useState<
    { session: SessionView; clockAheadMs: number } | null | undefined
  >()
  const [refusal, setRefusal] = useState<string | null>(null)
  const look = (): void => {
    const askedAtMs = Date.now()
    ask<SessionView>('GET', 'v1/session').then(
      (session) => {
        const answered = { askedAtMs, answeredAtMs: Date.now(), controllerMs: session.nowMs }
        setSignedIn({ session, clockAheadMs: clockAhead(null, answered) })
      },
      (error: Error) => {
        if (error instanceof AskError && error.status === 401) return setSignedIn(null)
        setRefusal(error.message)
        setTimeout(look, tryAgainMs)
      }
    )
  }
  useEffect(look, [])
  if (signedIn === undefined)
    return (
      <main class="door">
        <h1>Longshore</h1>
        <p role="status">{refusal === null ? 'Asking the controller ...' : `${refusal}; trying again`}</p>
      </main>
    )
  if (signedIn === null) return <SignIn signedIn={look} />
  return <SignedIn {...signedIn} signOut={() => setSignedIn(null)} />
}

type Signed = { session: SessionView; clockAheadMs: number; signOut: () => void }

const SignedIn = ({ session, clockAheadMs, signOut }: Signed) => {
  const [store, setStore] = useState<PageStore | null>(null)
  const [, draw] = useState(0)
  const route = useRoute()
  useEffect(() => {
    const made = createPageStore(session, clockAheadMs, signOut)
    const silence = made.listen(() => draw((count) => count + 1))
    setStore(made)
    return () => {
      silence()
      made.stop()
    }
  }, [session])
  const state = useEachSecond(() =>
    store === null ? 'connecting' : judgeConnection(store.known.connection, momentNow()).state
  )
  if (store === null) return null
  const { known, reload } = store
  const leave = (): void => {
    void ask('DELETE', 'v1/session').finally(signOut)
  }
  return (
    <pageContext.Provider value={{ session, known, reload, isVouchedFor: state === 'live' }}>
      <Frame route={route} state={state} leave={leave} lost={<Lost {...known} />}>
        <View route={route} />
      </Frame>
    </pageContext.Provider>
  )
}

const Lost = ({ connection, clockAheadMs }: Known) => {
  const now = momentNow()
  const judged = judgeConnection(connection, now)
  const heardAtMs = judged.state === 'lost' ? now.dayMs + clockAheadMs - judged.silentMs : null
  return (
    <>
      The controller was heard last <Ago atMs={heardAtMs} />. What is shown may be different by now;
      connecting again ...
    </>
  )
}

const View = ({ route }: { route: Route }) => {
  switch (route.view) {
    case 'fleet':
      return <FleetPage />
    case 'host':
      return <HostPage id={route.id} />
    case 'deployments':
      return <DeploymentsPage />
    case 'deployment':
      return <DeploymentPage key={route.id} id={route.id} />
    case 'service':
      return <ServicePage environment={route.environment} service={route.service} />
    case 'logs':
      return <LogsPage route={route} />
    case 'audit':
      return <AuditPage />
    case 'tokens':
      return <TokensPage />
    default:
      return route satisfies never
  }
}

const useRoute = (): Route => {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = (): void => setHash(location.hash)
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return readRoute(hash)
}

const place = document.getElementById('page')
if (place !== null) render(<Page />, place)
