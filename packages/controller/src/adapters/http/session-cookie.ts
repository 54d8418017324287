// The cookie of a browser's session (RFC 6265bis), and what keeps other sites from using it: it is sent to this site
// alone, and a request that changes something needs a header which no other site can send without being asked first.
// And the cookie of a sign-in under way, which has to come back from another site with the person.
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../../api/errors.ts'

/** Sent by the page with each request; a form of another site cannot (Fetch, CORS-safelisted request headers). */
const pageHeader = 'x-longshore-page'
const isSecure = ({ protocol }: FastifyRequest): boolean => protocol === 'https'
/** `__Host-`: only over TLS, only of this host. Without TLS a browser would refuse such a name. */
const nameOf = (request: FastifyRequest, name: string): string =>
  isSecure(request) ? `__Host-${name}` : name
const sessionName = 'longshore'
const signInName = 'longshore-sign-in'

/** @param maxAgeS 0 removes it */
export const sessionCookie = (request: FastifyRequest, sealed: string, maxAgeS: number): string =>
  cookie(request, `${nameOf(request, sessionName)}=${sealed}`, maxAgeS, 'Strict')

/**
 * `Lax`: another site cannot read or change it, but brings people back here with it. All paths: no cookie with a path is
 * safe from other hosts of the domain, which `__Host-` keeps from putting theirs in its place.
 */
export const signInCookie = (request: FastifyRequest, sealed: string, maxAgeS: number): string =>
  cookie(request, `${nameOf(request, signInName)}=${sealed}`, maxAgeS, 'Lax')

const cookie = (request: FastifyRequest, pair: string, maxAgeS: number, site: 'Strict' | 'Lax'): string =>
  `${pair}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=${site}${isSecure(request) ? '; Secure' : ''}`

export const sealedSessionOf = (request: FastifyRequest): string | undefined => cookieOf(request, sessionName)
export const sealedSignInOf = (request: FastifyRequest): string | undefined => cookieOf(request, signInName)

const cookieOf = (request: FastifyRequest, name: string): string | undefined => {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='))
  return pairs.find(([key]) => key === nameOf(request, name))?.[1]
}

/** @throws ApiError `forbidden` when another site may have sent the request */
export const demandOwnPage = ({ method, headers }: FastifyRequest): void => {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new ApiError('forbidden', 'a session serves no page of another site')
  if (method === 'GET' || method === 'HEAD' || headers[pageHeader] !== undefined) return
  throw new ApiError('forbidden', `a change by a session needs the header ${pageHeader}`)
}
