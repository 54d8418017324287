// The door: an issuer that says who it is, or a token in, and a session out. A token is sent once and kept nowhere in the
// page; with an issuer the browser leaves the page and comes back to the view that was asked for.
import type { SignInView } from '@longshore/controller/api'
import { useEffect, useState } from 'preact/hooks'
import { ask } from './ask-controller.ts'
import { elsewhereFor, viewFor } from './core/ways-in.ts'

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const SignIn = ({ signedIn }: { signedIn: () => void }) => {
  const [token, setToken] = useState('')
  const [issuers, setIssuers] = useState<SignInView['issuers']>([])
  const [refusal, setRefusal] = useState<string | null>(null)
  useEffect(() => {
    ask<SignInView>('GET', 'v1/sign-in').then(
      (door) => {
        setIssuers(door.issuers)
        setRefusal(door.refusal)
      },
      (error: unknown) => setRefusal(textOf(error))
    )
  }, [])
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    setRefusal(null)
    try {
      await ask('POST', 'v1/session', { token: token.trim() })
      setToken('')
      signedIn()
    } catch (error) {
      setRefusal(textOf(error))
    }
  }
  return (
    <main class="door">
      <h1>Longshore</h1>
      <p role="alert">{refusal}</p>
      <WaysIn issuers={issuers} refuse={setRefusal} />
      <form onSubmit={(event) => void submit(event)}>
        <label for="token">API token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          required
          value={token}
          onInput={({ currentTarget }) => setToken(currentTarget.value)}
        />
        <button type="submit">Sign in</button>
      </form>
    </main>
  )
}

type Offered = { issuers: SignInView['issuers']; refuse: (detail: string | null) => void }

const WaysIn = ({ issuers, refuse }: Offered) => {
  const [leaving, setLeaving] = useState(false)
  useEffect(() => {
    // whoever goes back at the issuer may find the page as it was left
    const back = (): void => setLeaving(false)
    addEventListener('pageshow', back)
    return () => removeEventListener('pageshow', back)
  }, [])
  const leave = async (name: string): Promise<void> => {
    refuse(null)
    setLeaving(true)
    try {
      const { url } = await ask<{ url: string }>('POST', `v1/sign-in/${name}`, {
        view: viewFor(location.hash)
      })
      location.assign(url)
    } catch (error) {
      setLeaving(false)
      refuse(textOf(error))
    }
  }
  return (
    <>
      {issuers.map(({ name, pageUrl }) => {
        const elsewhere = elsewhereFor(pageUrl, location.origin, location.hash)
        if (elsewhere !== null)
          return (
            <a key={name} href={elsewhere}>
              Sign in with {name} at {new URL(pageUrl).host}
            </a>
          )
        return (
          <button key={name} type="button" disabled={leaving} onClick={() => void leave(name)}>
            Sign in with {name}
          </button>
        )
      })}
    </>
  )
}
