// The page put together: who has signed in, and the view that the address names.
import type { SessionView } from '@longshore/controller/api'
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask } from './ask-controller.ts'
import { SignIn } from './sign-in.tsx'

const Page = () => {
  const [session, setSession] = useState<SessionView | null | undefined>(undefined)
  const look = (): void => {
    ask<SessionView>('GET', 'v1/session').then(setSession, () => setSession(null))
  }
  useEffect(look, [])
  if (session === undefined) return <p>Asking the controller ...</p>
  if (session === null) return <SignIn signedIn={look} />
  return (
    <main>
      <h1>Longshore</h1>
      <p>Signed in as {session.name}.</p>
    </main>
  )
}

const place = document.getElementById('page')
if (place !== null) render(<Page />, place)
