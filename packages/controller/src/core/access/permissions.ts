// What may an API token do? A need has the same form as a permission, `VERB:ENVIRONMENT/SERVICE`, with `*`
// where the thing asked for has no service or no environment; a token may do it when one single permission of
// it covers the need. Which need a route has is said by the route; who the caller is, by the authentication.
import type { Permission, Verb } from '../../api/schemas.ts'

export type Need = { verb: Verb | '*'; environment: string; service: string }

/**
 * Verbs that come along with others. Whoever may deploy must be able to watch the deployment, and to cancel it:
 * an aborted Jenkins job cancels what it began. Whoever applies a spec compares it with the one before.
 */
const alsoAllows: Record<Verb, readonly Verb[]> = {
  read: [],
  'read-values': ['read'],
  deploy: ['read', 'cancel'],
  rollback: ['read', 'cancel'],
  remove: ['read', 'cancel'],
  cancel: ['read'],
  lock: ['read'],
  apply: ['read', 'read-values'],
  agents: ['read'],
  environments: ['read'],
  webhooks: ['read'],
  registries: [],
  tokens: [],
  audit: [],
  logs: ['read'],
  'push-image': ['pull-image'],
  'pull-image': []
}

/** @param permission text that the `permission` schema accepted */
export const parsePermission = (permission: Permission): Need => {
  const colon = permission.indexOf(':')
  const slash = permission.indexOf('/', colon)
  return {
    verb: permission.slice(0, colon) as Verb | '*',
    environment: permission.slice(colon + 1, slash),
    service: permission.slice(slash + 1)
  }
}

export const formatNeed = ({ verb, environment, service }: Need): Permission =>
  `${verb}:${environment}/${service}`

const coversVerb = (granted: Verb | '*', needed: Verb | '*'): boolean =>
  granted === '*' || granted === needed || (needed !== '*' && alsoAllows[granted].includes(needed))

const coversName = (granted: string, needed: string): boolean => granted === '*' || granted === needed

/** True when one permission of `allow` covers all of the need; several together never do. */
export const isAllowed = (allow: readonly Permission[], need: Need): boolean =>
  allow.map(parsePermission).some((granted) => {
    const isNamed =
      coversName(granted.environment, need.environment) && coversName(granted.service, need.service)
    return isNamed && coversVerb(granted.verb, need.verb)
  })

/** Whether a permission with this verb lets its holder read what it names. */
export const allowsReading = (granted: Need['verb']): boolean => coversVerb(granted, 'read')

/** A deployment is read as a whole: by whoever may read each of its services. */
export const isReadableBy = (
  allow: readonly Permission[],
  { environment, services }: { environment: string; services: readonly { service: string }[] }
): boolean => services.every(({ service }) => isAllowed(allow, { verb: 'read', environment, service }))

/** True when any permission names the environment: the token may know that it exists. */
export const mayKnowEnvironment = (allow: readonly Permission[], environment: string): boolean =>
  allow.some((permission) => coversName(parsePermission(permission).environment, environment))

/**
 * The permissions of `wanted` that a holder of `own` may not hand on: those which it does not have itself, and
 * those over names for which it may not make tokens.
 */
export const notGrantable = (own: readonly Permission[], wanted: readonly Permission[]): Permission[] =>
  wanted.filter((permission) => {
    const need = parsePermission(permission)
    return !isAllowed(own, need) || !isAllowed(own, { ...need, verb: 'tokens' })
  })

/** A token is managed by those who may make tokens for everything that it names. */
export const mayManageToken = (own: readonly Permission[], allow: readonly Permission[]): boolean =>
  allow.every((permission) => isAllowed(own, { ...parsePermission(permission), verb: 'tokens' }))
