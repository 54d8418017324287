// The cookie of a browser's session (RFC 6265bis), and what keeps other sites from using it: it is sent to this site
// alone, and a request that changes something needs a header which no other site can send without being asked first.
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../../api/errors.ts'

/** Sent by the page with each request; a form of another site cannot (Fetch, CORS-safelisted request headers). */
const pageHeader = 'x-longshore-page'
/** `__Host-`: only over TLS, only of this host. Without TLS a browser would refuse such a name. */
const nameOf = (isSecure: boolean): string => (isSecure ? '__Host-longshore' : 'longshore')
const isSecure = ({ protocol }: FastifyRequest): boolean => protocol === 'https'

/** @param maxAgeS 0 removes it */
export const sessionCookie = (request: FastifyRequest, sealed: string, maxAgeS: number): string => {
  const secure = isSecure(request) ? '; Secure' : ''
  return `${nameOf(isSecure(request))}=${sealed}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Strict${secure}`
}

export const sealedSessionOf = (request: FastifyRequest): string | undefined => {
  const name = nameOf(isSecure(request))
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='))
  return pairs.find(([key]) => key === name)?.[1]
}

/** @throws ApiError `forbidden` when another site may have sent the request */
export const demandOwnPage = ({ method, headers }: FastifyRequest): void => {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new ApiError('forbidden', 'a session serves no page of another site')
  if (method === 'GET' || method === 'HEAD' || headers[pageHeader] !== undefined) return
  throw new ApiError('forbidden', `a change by a session needs the header ${pageHeader}`)
}
