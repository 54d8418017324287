// Logins to registries: kept sealed, listed without what is secret, removed. How hosts get them is left to
// registry-credentials.ts.
import { parseRegistryName } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { LoginRegistry, RegistryView } from '../api/schemas.ts'
import {
  type Actor,
  type Clock,
  HelperError,
  type RegistryLoginRow,
  type Sealer,
  type Store
} from '../ports.ts'
import type { Helpers } from './ask-helpers.ts'
import type { Writer } from './writer.ts'

/** More is a mistake. */
const maxRegistries = 200

export type Registries = {
  /** In the place of a former login to the same host. @throws ApiError `invalid-request`, `helper-failed`, `wrong-state` (too many) */
  login(actor: Actor, wish: LoginRegistry): Promise<RegistryView>
  list(): Promise<RegistryView[]>
  /** @throws ApiError `invalid-request`, `unknown-registry` with those that are known */
  logout(actor: Actor, host: string): Promise<void>
}

export type RegistriesPorts = { store: Store; writer: Writer; clock: Clock; sealer: Sealer; helpers: Helpers }

export const createRegistries = (ports: RegistriesPorts): Registries => {
  const { store, writer } = ports
  return {
    login: (actor, wish) => login(ports, actor, wish),
    list: async () => (await store.registryLogins()).map(viewOf),
    logout: (actor, typed) => {
      const host = requireName(typed)
      const note = { actor, action: 'registry.logout', subject: host, request: {} }
      return writer.change(note, async (tx) => {
        const known = (await tx.registryLogins()).map((one) => one.host)
        if (!known.includes(host))
          throw new ApiError('unknown-registry', `there are no credentials of ${host}`, { known })
        await tx.deleteRegistryLogin(host)
      })
    }
  }
}

const login = async (ports: RegistriesPorts, actor: Actor, wish: LoginRegistry): Promise<RegistryView> => {
  const { writer, clock } = ports
  const host = requireName(wish.host)
  const row: RegistryLoginRow = {
    host,
    ...(await secretOf(ports, host, wish)),
    setAtMs: clock.nowMs(),
    setBy: actor.name
  }
  const { username, helper } = row
  const note = { actor, action: 'registry.login', subject: host, request: { host, username, helper } }
  return writer.change(note, async (tx) => {
    const known = await tx.registryLogins()
    if (known.length >= maxRegistries && !known.some((one) => one.host === host))
      throw new ApiError('wrong-state', `there are credentials of ${maxRegistries} registries already`)
    await tx.putRegistryLogin(row)
    return viewOf(row)
  })
}

/** A helper is asked once before it is taken: what it lacks is best said to whoever sets it up. */
const secretOf = async (
  { sealer, helpers }: RegistriesPorts,
  host: string,
  { username, password, helper }: LoginRegistry
): Promise<Pick<RegistryLoginRow, 'username' | 'sealed' | 'helper'>> => {
  if (helper !== undefined) {
    await helpers.ask(helper, host).catch((error: unknown) => {
      throw error instanceof HelperError ? new ApiError('helper-failed', error.message) : error
    })
    return { username: null, sealed: null, helper }
  }
  if (username === undefined || password === undefined)
    throw new TypeError('the schema lets no such login in')
  // with its host: a row that was moved to another one in the database opens nothing
  return { username, sealed: await sealer.seal(JSON.stringify({ host, password })), helper: null }
}

const requireName = (typed: string): string => {
  const host = parseRegistryName(typed)
  if (host !== undefined) return host
  // not quoted: some write the password into it
  throw new ApiError('invalid-request', 'that is no registry: expected HOST[:PORT] as images name it')
}

const viewOf = ({ sealed: _, ...row }: RegistryLoginRow): RegistryView => row
