// Logins to registries: kept sealed, listed without what is secret, removed. How hosts get them is left to
// registry-credentials.ts.
import { parseRegistryName } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { LoginRegistry, RegistryView } from '../api/schemas.ts'
import type { Actor, Clock, RegistryLoginRow, Sealer, Store } from '../ports.ts'
import type { Writer } from './writer.ts'

/** More is a mistake. */
const maxRegistries = 200

export type Registries = {
  /** In the place of a former login to the same host. @throws ApiError `invalid-request`, `wrong-state` (too many) */
  login(actor: Actor, wish: LoginRegistry): Promise<RegistryView>
  list(): Promise<RegistryView[]>
  /** @throws ApiError `invalid-request`, `unknown-registry` with those that are known */
  logout(actor: Actor, host: string): Promise<void>
}

export type RegistriesPorts = { store: Store; writer: Writer; clock: Clock; sealer: Sealer }

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

const login = async (
  { writer, clock, sealer }: RegistriesPorts,
  actor: Actor,
  { host: typed, username, password }: LoginRegistry
): Promise<RegistryView> => {
  const host = requireName(typed)
  const row: RegistryLoginRow = {
    host,
    username,
    // with its host: a row that was moved to another one in the database opens nothing
    sealed: await sealer.seal(JSON.stringify({ host, password })),
    setAtMs: clock.nowMs(),
    setBy: actor.name
  }
  const note = { actor, action: 'registry.login', subject: host, request: { host, username } }
  return writer.change(note, async (tx) => {
    const known = await tx.registryLogins()
    if (known.length >= maxRegistries && !known.some((one) => one.host === host))
      throw new ApiError('wrong-state', `there are credentials of ${maxRegistries} registries already`)
    await tx.putRegistryLogin(row)
    return viewOf(row)
  })
}

const requireName = (typed: string): string => {
  const host = parseRegistryName(typed)
  if (host !== undefined) return host
  // not quoted: some write the password into it
  throw new ApiError('invalid-request', 'that is no registry: expected HOST[:PORT] as images name it')
}

const viewOf = ({ sealed: _, ...row }: RegistryLoginRow): RegistryView => row
