// An issuer with which people sign in: oidc-provider, a certified implementation, on loopback, with its own login form
// that takes any name. And a browser as far as signing in needs one: redirects, forms and cookies, without scripts.
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Provider } from 'oidc-provider'

type Scope = { teardown(work: () => unknown): unknown }
export type SignInIssuer = {
  readonly url: string
  readonly client: { clientId: string; clientSecret: string }
  /** Claims by login; others have none. */
  readonly people: Map<string, Record<string, unknown>>
  /** Answers what the issuer would not; null: as it should. */
  answer: RequestListener | null
  stop(): Promise<void>
}

/** @param redirectUris as they are registered, character by character */
export const startSignInIssuer = async (
  t: Scope,
  redirectUris: string[],
  areClaimsInIdToken = true
): Promise<SignInIssuer> => {
  const state: { answer: RequestListener | null } = { answer: null }
  let serve: RequestListener = (_request, response) => response.writeHead(503).end()
  const server = createServer((request, response) => (state.answer ?? serve)(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = { clientId: 'longshore', clientSecret: 'a secret of the client: %+&' }
  const people: SignInIssuer['people'] = new Map()
  serve = await makeProvider(url, client, people, redirectUris, areClaimsInIdToken)
  const stop = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
  }
  t.teardown(stop)
  return {
    url,
    client,
    people,
    stop,
    get answer() {
      return state.answer
    },
    set answer(other) {
      state.answer = other
    }
  }
}

const makeProvider = async (
  url: string,
  { clientId, clientSecret }: SignInIssuer['client'],
  people: SignInIssuer['people'],
  redirectUris: string[],
  areClaimsInIdToken: boolean
): Promise<RequestListener> => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const provider = new Provider(url, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: redirectUris,
        token_endpoint_auth_method: 'client_secret_post'
      }
    ],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['preferred_username'],
      groups: ['groups']
    },
    // some issuers say everything in the ID token, others answer groups only when they are asked
    conformIdTokenClaims: !areClaimsInIdToken,
    pkce: { required: () => true },
    cookies: { keys: ['of the test'] },
    ttl: {
      Interaction: 600,
      Session: 600,
      Grant: 600,
      AccessToken: 600,
      IdToken: 600,
      AuthorizationCode: 60
    },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }] },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, ...people.get(sub) }) })
  })
  return provider.callback()
}

export type SimpleBrowser = {
  /** Its address, behind a proxy that is trusted. */
  readonly from: string
  /** Cookies by origin and name. */
  readonly cookies: Map<string, Map<string, string>>
  /** The cookies that it would send to the origin. */
  cookiesFor(url: string): string
  /** One request, without going where a redirect leads. */
  visit(url: string, form?: Record<string, string>): Promise<Response>
  /**
   * Goes to the address, signs in and consents, and comes to where the issuer sends the browser back to.
   * @param login null: refuses at the first form
   */
  signIn(address: string, login: string | null, redirectUri: string): Promise<string>
}

let opened = 0

export const openSimpleBrowser = (): SimpleBrowser => {
  opened += 1
  const from = `198.51.100.${opened}`
  const cookies: SimpleBrowser['cookies'] = new Map()
  const cookiesFor = (url: string): string =>
    [...(cookies.get(new URL(url).origin) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ')
  const visit: SimpleBrowser['visit'] = async (url, form) => {
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: cookiesFor(url), 'x-forwarded-for': from },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) })
    })
    const jar = cookies.get(new URL(url).origin) ?? new Map<string, string>()
    cookies.set(new URL(url).origin, jar)
    for (const [, name = '', value = '', more = ''] of answer.headers
      .getSetCookie()
      .map((text) => /^([^=]+)=([^;]*)(.*)$/.exec(text) ?? [])) {
      if (value === '' || /max-age=0|expires=Thu, 01 Jan 1970/i.test(more)) jar.delete(name)
      else jar.set(name, value)
    }
    return answer
  }
  const signIn: SimpleBrowser['signIn'] = async (address, login, redirectUri) => {
    let at = address
    let form: Record<string, string> | undefined
    for (let steps = 0; steps < 12; steps += 1) {
      if (at.startsWith(redirectUri)) return at
      const answer = await visit(at, form)
      form = undefined
      const location = answer.headers.get('location')
      if (location !== null) {
        at = new URL(location, at).href
        continue
      }
      const page = await answer.text()
      const [, prompt] = /name="prompt" value="(\w+)"/.exec(page) ?? []
      const [, action] = /<form[^>]* action="([^"]+)"/.exec(page) ?? []
      if (prompt === undefined || action === undefined) throw new Error(`no form at ${at}: ${page}`)
      const [, abort] = /href="([^"]+\/abort)"/.exec(page) ?? []
      at = new URL(login === null ? (abort ?? '') : action, at).href
      if (login !== null) form = prompt === 'login' ? { prompt, login, password: 'any' } : { prompt }
    }
    throw new Error(`the issuer sends the browser round in circles: ${at}`)
  }
  return { from, cookies, cookiesFor, visit, signIn }
}
