// Whom does an ID token stand for? Its claims against the rules of the issuers that are configured for its `iss`
// (OpenID Connect Core 1.0, section 2). Who signed it, and until when it is valid, was checked before.
import type { ClaimRule, Permission } from '../../api/schemas.ts'

/** Of a payload whose signature is good; times are seconds since the epoch (RFC 7519, section 2). */
export type IdClaims = { readonly [name: string]: unknown } & { sub: string; iat: number }
type Trusted = { name: string; audience: string; maxAgeMs: number; rules: readonly ClaimRule[] }

export type ClaimsVerdict =
  /** `issuer`: name of the first one with a rule that fits. */
  | { kind: 'allowed'; issuer: string; allow: Permission[] }
  /** Not meant for this installation, or too old. */
  | { kind: 'not-valid'; detail: string }
  /** Authentic, and no rule lets it in. */
  | { kind: 'no-rule'; detail: string }

/** Clocks of issuer and controller may differ by so much. */
export const clockToleranceMs = 60_000

/** @param issuers those with the URL of the token's `iss`, at least one */
export const judgeClaims = (issuers: readonly Trusted[], claims: IdClaims, nowMs: number): ClaimsVerdict => {
  const refusals = issuers.map((issuer) => refusalOf(issuer, claims, nowMs))
  const valid = issuers.filter((_, index) => refusals[index] === undefined)
  const [refusal = 'no issuer'] = refusals
  if (valid.length === 0) return { kind: 'not-valid', detail: refusal }
  const allow = valid.flatMap(({ rules }) =>
    rules.filter((rule) => fits(rule, claims)).flatMap((rule) => rule.allow)
  )
  const first = valid.find(({ rules }) => rules.some((rule) => fits(rule, claims)))
  if (first !== undefined) return { kind: 'allowed', issuer: first.name, allow: [...new Set(allow)] }
  return { kind: 'no-rule', detail: valid.map((issuer) => describeMismatch(issuer, claims)).join('; ') }
}

/** A pattern stands for the whole value; `*` is any run of characters, none among them. */
export const matchesPattern = (pattern: string, value: string): boolean => {
  const [head = '', ...others] = pattern.split('*')
  const tail = others.pop()
  if (tail === undefined) return value === head
  if (value.length < head.length + tail.length || !value.startsWith(head) || !value.endsWith(tail))
    return false
  const end = value.length - tail.length
  let at = head.length
  for (const part of others) {
    const found = value.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}

const refusalOf = (
  { name, audience, maxAgeMs }: Trusted,
  claims: IdClaims,
  nowMs: number
): string | undefined => {
  if (!valuesOf(claims, 'aud').includes(audience))
    return `the ID token has another audience than issuer ${name} asks for`
  const ageMs = nowMs - claims.iat * 1000
  if (ageMs > maxAgeMs) return `the ID token is older than issuer ${name} allows`
  return ageMs < -clockToleranceMs ? 'the ID token was issued in the future' : undefined
}

const fits = ({ claims: patterns }: ClaimRule, claims: IdClaims): boolean =>
  Object.entries(patterns).every(([name, pattern]) => hasValue(claims, name, pattern))

const hasValue = (claims: IdClaims, name: string, pattern: string): boolean =>
  valuesOf(claims, name).some((value) => matchesPattern(pattern, value))

/** Of an array: each of its members. What has no plain text (an object, null) is no value. */
export const valuesOf = (claims: IdClaims, name: string): string[] => {
  const claim = Object.hasOwn(claims, name) ? claims[name] : undefined
  const members: unknown[] = Array.isArray(claim) ? claim : [claim]
  return members.filter((one) => plain.includes(typeof one)).map(String)
}
const plain: readonly string[] = ['string', 'number', 'boolean']

/** Names claims alone: neither what a rule asks for nor what the token has. */
const describeMismatch = ({ name, rules }: Trusted, claims: IdClaims): string => {
  const each = rules.map(({ claims: patterns }, index) => {
    const missed = Object.entries(patterns)
      .filter(([claim, pattern]) => !hasValue(claims, claim, pattern))
      .map(([claim]) =>
        valuesOf(claims, claim).length === 0 ? `${claim} is missing` : `${claim} is another`
      )
    return `rule ${index + 1} (${missed.join(', ')})`
  })
  return `no rule of issuer ${name} fits: ${each.join(', ')}`
}
