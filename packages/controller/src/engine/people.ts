// Whom does a session of somebody who signed in stand for? Its claims against the rules that its issuer has now: a rule
// that is taken away counts with the next request, and so does an issuer that is removed or replaced.
import { ApiError } from '../api/errors.ts'
import { judgeClaims } from '../core/access/claims.ts'
import { keepClaims, nameOf, type Person } from '../core/access/sign-in.ts'
import type { Clock, Store } from '../ports.ts'
import type { Caller } from './tokens.ts'

export type People = {
  /** @throws ApiError `claims-refused`: no rule lets the person in. @returns with the claims that a session keeps */
  admit(person: Person): Promise<Person>
  /** @throws ApiError `unauthenticated` when the rules of now let the person in no longer */
  recognise(person: Person, address: string): Promise<Caller>
  /** Whether a person who was recognised before may still do all of it. */
  isGood(person: Person, allow: Caller['allow']): Promise<boolean>
}

type Ports = { store: Pick<Store, 'issuers'>; clock: Clock }

export const createPeople = (ports: Ports): People => ({
  admit: async (person) => {
    const { row, verdict } = await judge(ports, person)
    if (row === undefined || verdict.kind === 'not-valid') throw unauthenticated(person)
    if (verdict.kind === 'no-rule') throw new ApiError('claims-refused', verdict.detail)
    return { ...person, claims: keepClaims(row.rules, person.claims) }
  },
  recognise: async (person, address) => {
    const { verdict } = await judge(ports, person)
    if (verdict.kind !== 'allowed') throw unauthenticated(person)
    const { issuer, readable, claims } = person
    const id = `oidc:${issuer}/${claims.sub}`
    return {
      actor: { kind: 'id-token', id, name: nameOf(id, readable), address },
      allow: verdict.allow,
      person
    }
  },
  isGood: async (person, allow) => {
    const { verdict } = await judge(ports, person)
    return verdict.kind === 'allowed' && allow.every((permission) => verdict.allow.includes(permission))
  }
})

const judge = async ({ store, clock }: Ports, { issuer, claims }: Person) => {
  const row = (await store.issuers()).find(
    ({ name, url, signIn }) => name === issuer && url === claims['iss'] && signIn !== null
  )
  const gone = { kind: 'not-valid' as const, detail: '' }
  return { row, verdict: row === undefined ? gone : judgeClaims([row], claims, clock.nowMs()) }
}

const unauthenticated = ({ issuer }: Person): ApiError =>
  new ApiError('unauthenticated', `issuer ${issuer} lets you in no longer: sign in again`)
