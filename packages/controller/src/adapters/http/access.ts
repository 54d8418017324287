// Which right does a route ask for? Every route declares it in its config, or the server does not start. Reads the
// bearer token once per request and leaves the decision to core/access.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ApiError, type Existing } from '../../api/errors.ts'
import type { Verb } from '../../api/schemas.ts'
import { formatNeed, isAllowed, mayKnowEnvironment, type Need } from '../../core/access/permissions.ts'
import type { BrowserSessions } from '../../engine/browser-sessions.ts'
import type { Callers } from '../../engine/callers.ts'
import type { Failures } from '../../engine/count-failures.ts'
import type { ImageCallers } from '../../engine/image-callers.ts'
import type { Caller } from '../../engine/tokens.ts'
import { demandOwnPage, sealedSessionOf } from './session-cookie.ts'

export type RouteAccess =
  /** Anyone. */
  | { kind: 'open'; because: string }
  /** Any valid token. */
  | { kind: 'any-token' }
  /** Checked before the handler, from the path. */
  | {
      kind: 'needs'
      verb: Verb
      of: (params: Record<string, string>) => { environment: string; service: string }
    }
  /** Images belong to no environment; reading asks for `pull-image`, everything else for `push-image`. */
  | { kind: 'images' }
  /** The handler answers only what the token may read. */
  | { kind: 'filters'; verb: Verb }
  /** The handler demands the verb once it knows the environment: from the body, or from what an id names. */
  | { kind: 'demands'; verb: Verb }

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess
    /** What the audit calls it when it is refused, where the path may hold what must not be kept. */
    subjectOf?: (params: Record<string, string>) => string
  }
  interface FastifyRequest {
    /** null where the route is open. */
    caller: Caller | null
  }
}

type GuardPorts = {
  callers: Callers
  imageCallers: ImageCallers
  sessions: BrowserSessions
  failures: Failures
}

export const guardRoutes = (app: FastifyInstance, ports: GuardPorts): void => {
  app.decorateRequest('caller', null)
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.access === undefined) throw new TypeError(`the route ${url} declares no access`)
  })
  app.addHook('onRequest', async (request) => {
    const access = request.routeOptions.config.access
    if (access === undefined || access.kind === 'open') return
    request.caller = await authenticate(ports, request, access)
    if (access.kind === 'images') demand(request, imageNeedOf(request.method))
    if (access.kind !== 'needs') return
    demand(request, { verb: access.verb, ...access.of(request.params as Record<string, string>) })
  })
}

const imageNeedOf = (method: string): Need => ({
  verb: method === 'GET' || method === 'HEAD' ? 'pull-image' : 'push-image',
  environment: '*',
  service: '*'
})

const authenticate = async (
  { callers, imageCallers, sessions, failures }: GuardPorts,
  request: FastifyRequest,
  access: RouteAccess
): Promise<Caller> => {
  const isImage = access.kind === 'images'
  const header = request.headers.authorization
  const sealed = isImage || header !== undefined ? undefined : sealedSessionOf(request)
  if (sealed !== undefined) {
    demandOwnPage(request)
    return countingFailures(failures, request, () => sessions.authenticate(sealed, request.ip))
  }
  // Nothing was tried: any website can make a browser ask, and every client of a registry asks so first, to learn how.
  if (header === undefined) {
    failures.demandPatience(request.ip)
    const how = isImage ? 'send an API token as the password' : 'send `Authorization: Bearer TOKEN`'
    throw new ApiError('unauthenticated', how)
  }
  const token = bearerOf(header) ?? (isImage ? passwordOf(header) : undefined)
  return countingFailures(failures, request, () => {
    if (token === undefined) throw new ApiError('unauthenticated', 'send `Authorization: Bearer TOKEN`')
    return (isImage ? imageCallers : callers).authenticate(token, request.ip)
  })
}

/** @throws ApiError as `recognise`, and `rate-limited` for an address that failed too often */
export const countingFailures = async <T>(
  failures: Failures,
  { ip }: FastifyRequest,
  recognise: () => T | Promise<T>
): Promise<T> => {
  failures.demandPatience(ip)
  try {
    return await recognise()
  } catch (error) {
    if (error instanceof ApiError && error.code === 'unauthenticated') failures.count(ip)
    throw error
  }
}

const bearerOf = (header = ''): string | undefined => /^Bearer (\S+)$/i.exec(header)?.[1]

/** RFC 7617: what `docker login` makes of an API token; the user's name does not count. */
const passwordOf = (header = ''): string | undefined => {
  const [, encoded] = /^Basic (\S+)$/i.exec(header) ?? []
  const pair = Buffer.from(encoded ?? '', 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  return colon < 0 ? undefined : pair.slice(colon + 1)
}

export const callerOf = (request: FastifyRequest): Caller => {
  if (request.caller === null) throw new TypeError('an open route has no caller')
  return request.caller
}

export const may = (request: FastifyRequest, need: Need): boolean => isAllowed(callerOf(request).allow, need)

/** @throws ApiError `forbidden`, naming the permission that is missing */
export const demand = (request: FastifyRequest, need: Need): void => {
  demandAll(request, [need])
}

/** @throws ApiError `forbidden`, naming every permission that is missing */
export const demandAll = (request: FastifyRequest, needs: readonly Need[]): void => {
  const missing = needs.filter((need) => !may(request, need)).map(formatNeed)
  if (missing.length > 0) throw new ApiError('forbidden', `the token lacks ${missing.join(', ')}`)
}

/** Of what exists: what the token may know of. An open route tells nothing. */
export const isKnowable =
  ({ caller }: FastifyRequest) =>
  ({ environment, services }: Existing): boolean => {
    if (caller === null) return false
    if (services === null) return mayKnowEnvironment(caller.allow, environment)
    return services.every((service) => isAllowed(caller.allow, { verb: 'read', environment, service }))
  }

/** Names of environments that the token may know of. */
export const knowable = (request: FastifyRequest, environments: readonly string[]): string[] =>
  environments.filter((name) => mayKnowEnvironment(callerOf(request).allow, name))
