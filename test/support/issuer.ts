// An issuer of ID tokens for tests, as Jenkins, GitLab and GitHub are ones: discovery document and keys over HTTP, on
// loopback, and tokens with whatever claims a test wants.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

type Scope = { teardown(work: () => unknown): unknown }
export type Issuer = {
  readonly url: string
  /** Requests for its keys so far. */
  readonly keysAsked: number
  /** Answers what the issuer would not; null: as it should. */
  answer: ((path: string, response: ServerResponse) => void) | null
  /** A token of now, for five minutes. @param claims take the place of its own; undefined leaves one out */
  token(claims?: Record<string, unknown>, header?: { kid?: string; typ?: string }): Promise<string>
  /** A new key signs from now on; the former one is published no longer. @param kid of the new one */
  rotate(kid?: string): Promise<void>
  /** The key set as it is published. */
  keys(): { keys: JWK[] }
}

/** @param options.tls PEM texts */
export const startIssuer = async (
  t: Scope,
  options: { algorithm?: string; audience: string; subject?: string; tls?: { cert: string; key: string } }
): Promise<Issuer> => {
  const { algorithm = 'RS256', audience, subject = 'https://jenkins.example.com/job/api/', tls } = options
  const makeKey = async (kid: string = randomUUID()) => {
    const { privateKey, publicKey } = await generateKeyPair(algorithm)
    const published: JWK = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' }
    return { privateKey, kid, published }
  }
  let key = await makeKey()
  const state: { keysAsked: number; answer: Issuer['answer'] } = { keysAsked: 0, answer: null }
  const answer = (path: string, response: ServerResponse): void => {
    if (path === '/oidc/jwks') state.keysAsked += 1
    if (state.answer === null) publish(path, response)
    else state.answer(path, response)
  }
  const publish = (path: string, response: ServerResponse): void => {
    const documents: Record<string, object> = {
      '/oidc/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/jwks` },
      '/oidc/jwks': { keys: [key.published] }
    }
    const document = documents[path]
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document ?? {}))
  }
  const server = tls === undefined ? createServer() : createTlsServer(tls)
  server.on('request', ({ url: path = '' }, response) => answer(path, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/oidc`
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return {
    url,
    get keysAsked() {
      return state.keysAsked
    },
    get answer() {
      return state.answer
    },
    set answer(other) {
      state.answer = other
    },
    token: (claims = {}, header = {}) => {
      const nowSeconds = Math.floor(Date.now() / 1000)
      const own = { iss: url, sub: subject, aud: audience, iat: nowSeconds, exp: nowSeconds + 300 }
      return new SignJWT({ ...own, build_number: 7, ...claims })
        .setProtectedHeader({ alg: algorithm, kid: key.kid, typ: 'JWT', ...header })
        .sign(key.privateKey)
    },
    rotate: async (kid) => {
      key = await makeKey(kid)
    },
    keys: () => ({ keys: [key.published] })
  }
}
