// Who has signed in at the page? Of what an issuer says of a person a session keeps what the rules look for, and no
// more: lists of groups are longer than cookies may be. What it allows is judged anew with each request.
import type { ClaimRule } from '../../api/schemas.ts'
import { type IdClaims, matchesPattern, valuesOf } from './claims.ts'

/** What a session holds. `readable`: how people call the person; null: the issuer does not say. */
export type Person = { issuer: string; readable: string | null; claims: IdClaims }

type Rules = readonly ClaimRule[]

/** A rule that comes later and looks for something else fits once the person signs in again: less is kept, never more. */
export const keepClaims = (rules: Rules, claims: IdClaims): IdClaims => {
  const looksFor = (name: string, value: string): boolean =>
    rules.some((rule) => Object.hasOwn(rule.claims, name) && matchesPattern(rule.claims[name] ?? '', value))
  const fitting = namedIn(rules).map((name) => [
    name,
    valuesOf(claims, name).filter((value) => looksFor(name, value))
  ])
  const { iss, aud, sub, iat } = claims
  // last, as they came: rules may look for them too
  return { ...Object.fromEntries(fitting), iss, aud, sub, iat }
}

/** Whether some rule looks for a claim that is not there. */
export const lacksClaims = (rules: Rules, claims: IdClaims): boolean =>
  namedIn(rules).some((name) => valuesOf(claims, name).length === 0)

const namedIn = (rules: Rules): string[] => [...new Set(rules.flatMap(({ claims }) => Object.keys(claims)))]

/** Letters, digits, signs: nothing that hides or turns around what stands beside it, and no parentheses. */
const plainName = /^(?!.*[()])[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,100}$/u

/**
 * For people to read, never to decide by: at many issuers people choose it themselves (OpenID Connect Core 1.0,
 * section 5.7).
 */
export const readableOf = (claims: IdClaims): string | null => {
  const address = claims['email_verified'] === false ? undefined : claims['email']
  const found = [address, claims['preferred_username']].find(
    (one): one is string => typeof one === 'string' && plainName.test(one)
  )
  return found ?? null
}

/** Issuer and subject come first: whoever is called `admin` there is not taken for another one. */
export const nameOf = (id: string, readable: string | null): string =>
  readable === null ? id : `${id} (${readable})`
