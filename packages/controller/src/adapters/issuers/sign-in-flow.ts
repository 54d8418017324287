// The controller as a client of issuers: authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC
// 7636) by openid-client, over our own HTTP. The library is loaded with the first sign-in. Signatures of ID tokens are
// checked where all of them are, in engine/id-tokens.ts.
import type { Configuration } from 'openid-client'
import * as z from 'zod'
import { clockToleranceMs } from '../../core/access/claims.ts'
import {
  type Claims,
  IssuerUnavailable,
  type SignInChecks,
  type SignInClient,
  type SignInFlow,
  SignInRefused
} from '../../ports.ts'
import { type AskIssuer, createAskIssuer, unavailable } from './ask-issuer.ts'
import { discoverIssuer } from './discover-issuer.ts'

/** For one answer; a person waits meanwhile. */
const answerWithinMs = 10_000
const keptForMs = 10 * 60_000
const failedForMs = 5_000
const maxDescriptionChars = 300

/** Of it the library is given no more than this. */
const metadata = z.object({
  authorization_endpoint: z.string(),
  token_endpoint: z.string(),
  userinfo_endpoint: z.string().exactOptional(),
  token_endpoint_auth_methods_supported: z.array(z.string()).exactOptional(),
  id_token_signing_alg_values_supported: z.array(z.string()).exactOptional(),
  authorization_response_iss_parameter_supported: z.boolean().exactOptional()
})
type Metadata = z.infer<typeof metadata> & { issuer: string }

/** @param options.ca PEM; null: Node's list and the system's */
export const createSignInFlow = (options: { ca: string | null }): SignInFlow => {
  const ask = createAskIssuer(options.ca)
  const metadataOf = rememberMetadata(ask)
  const configure = async (client: SignInClient): Promise<Configuration> =>
    configurationOf(await metadataOf(client.url), client, ask)
  return {
    addressFor: async (client, { state, nonce, verifier }) => {
      const library = await import('openid-client')
      return library.buildAuthorizationUrl(await configure(client), {
        redirect_uri: client.callback,
        scope: [...new Set(['openid', 'profile', 'email', ...client.scopes])].join(' '),
        state,
        nonce,
        code_challenge: await library.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256'
      })
    },
    exchange: async (client, checks, query) => {
      const configuration = await configure(client)
      return exchange(configuration, client, checks, query).catch(inWords)
    }
  }
}

const exchange = async (
  configuration: Configuration,
  { callback }: SignInClient,
  { state, nonce, verifier }: SignInChecks,
  query: string
) => {
  const library = await import('openid-client')
  const tokens = await library.authorizationCodeGrant(configuration, new URL(`${callback}?${query}`), {
    expectedState: state,
    expectedNonce: nonce,
    pkceCodeVerifier: verifier,
    idTokenExpected: true
  })
  const subject = tokens.claims()?.sub
  if (tokens.id_token === undefined || subject === undefined) throw new SignInRefused('it gave no ID token')
  const furtherClaims = async (): Promise<Claims> =>
    configuration.serverMetadata().userinfo_endpoint === undefined
      ? {}
      : library.fetchUserInfo(configuration, tokens.access_token, subject).catch(inWords)
  return { idToken: tokens.id_token, furtherClaims }
}

const rememberMetadata = (ask: AskIssuer): ((issuer: string) => Promise<Metadata>) => {
  const known = new Map<string, { found: Promise<Metadata>; untilMs: number }>()
  return (issuer) => {
    const former = known.get(issuer)
    if (former !== undefined && performance.now() < former.untilMs) return former.found
    const entry = {
      found: discoverIssuer(ask, issuer, metadata, AbortSignal.timeout(answerWithinMs)).catch(
        (error: unknown) => {
          entry.untilMs = performance.now() + failedForMs
          throw unavailable(error, answerWithinMs)
        }
      ),
      untilMs: performance.now() + keptForMs
    }
    known.set(issuer, entry)
    return entry.found
  }
}

const configurationOf = async (
  server: Metadata,
  { url, clientId, clientSecret }: SignInClient,
  ask: AskIssuer
): Promise<Configuration> => {
  const library = await import('openid-client')
  const methods = server.token_endpoint_auth_methods_supported ?? []
  // without a list basic is meant (Discovery, section 3); where both work, in the body nothing is encoded twice
  const authentication = methods.includes('client_secret_post')
    ? library.ClientSecretPost(clientSecret)
    : library.ClientSecretBasic(clientSecret)
  const client = { [library.clockTolerance]: clockToleranceMs / 1000 }
  const configuration = new library.Configuration(server, clientId, client, authentication)
  configuration.timeout = answerWithinMs / 1000
  configuration[library.customFetch] = fetchBy(ask)
  // plain http is let in on loopback only, by core/access/issuer-url.ts
  if (url.startsWith('http:')) library.allowInsecureRequests(configuration)
  return configuration
}

type LibraryFetch = NonNullable<Configuration[typeof import('openid-client').customFetch]>

const fetchBy =
  (ask: AskIssuer): LibraryFetch =>
  async (address, { method, headers, body, signal }) => {
    const asked = { method, headers, ...(body == null ? {} : { body: String(body) }) }
    const url = new URL(address)
    const answer = await ask(url, asked, signal ?? AbortSignal.timeout(answerWithinMs)).catch(
      (error: unknown) => {
        throw unavailable(error, answerWithinMs)
      }
    )
    if (answer.status >= 500)
      throw new IssuerUnavailable(`${url.host} answered with HTTP status ${answer.status}`)
    const single = Object.entries(answer.headers).map(([name, value]): [string, string] => [
      name,
      String(value)
    ])
    return new Response(answer.text === '' ? null : answer.text, { status: answer.status, headers: single })
  }

/** What the library throws, for people. */
const inWords = async (error: unknown): Promise<never> => {
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof IssuerUnavailable) throw cause
  if (error instanceof IssuerUnavailable || error instanceof SignInRefused) throw error
  const { AuthorizationResponseError, ClientError, ResponseBodyError, WWWAuthenticateChallengeError } =
    await import('openid-client')
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError)
    throw new SignInRefused(`it said ${describe(error.error, error.error_description)}`, { cause: error })
  if (error instanceof WWWAuthenticateChallengeError)
    throw new SignInRefused(`it answered with HTTP status ${error.status}`, { cause: error })
  if (error instanceof ClientError)
    throw new SignInRefused(`its answer is not valid: ${detailOf(error)}`, { cause: error })
  throw error
}

/** The word that RFC 6749 asks for, and what the issuer says about it: bounded, on one line. */
const describe = (code: string, description: string | undefined): string => {
  const text = (description === undefined ? code : `${code}, ${description}`).replace(
    /[\p{Cc}\p{Cf}\s]+/gu,
    ' '
  )
  return text.length > maxDescriptionChars ? `${text.slice(0, maxDescriptionChars)}...` : text
}

/** The library's own words, which quote nothing of what came. */
const detailOf = (error: Error): string =>
  error.cause instanceof Error ? error.cause.message : error.message
