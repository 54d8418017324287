// The door: a token in, a session out. The token is sent once and kept nowhere in the page.
import { useState } from 'preact/hooks'
import { ask } from './ask-controller.ts'

export const SignIn = ({ signedIn }: { signedIn: () => void }) => {
  const [token, setToken] = useState('')
  const [refusal, setRefusal] = useState<string | null>(null)
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    setRefusal(null)
    try {
      await ask('POST', 'v1/session', { token: token.trim() })
      setToken('')
      signedIn()
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <main class="door">
      <h1>Longshore</h1>
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
        <p role="alert">{refusal}</p>
      </form>
    </main>
  )
}
