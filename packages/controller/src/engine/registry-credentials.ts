// Credentials for one command on its way to one host: found for the registries that it may ask, and encrypted to the
// agent's key when the command is sent. Nothing of it is kept.
import {
  type AgentId,
  type CommandCredential,
  commandId,
  type EncryptionJwk,
  encryptionJwk,
  limits,
  readUnverified,
  registryOf,
  sealRegistryLogin
} from '@longshore/protocol'
import * as z from 'zod'
import { pullingBody, registriesFor } from '../core/delivery/registries-for.ts'
import {
  HelperError,
  type Log,
  type Login,
  type RegistryLoginRow,
  type Sealer,
  type Store
} from '../ports.ts'
import type { Helpers } from './ask-helpers.ts'

export type RegistryCredentials = {
  /**
   * Never rejects: a host that gets none may have its own, and says so if it has not.
   * @param jws as the controller signed it
   * @returns one per registry that somebody logged in to; none for commands that ask no registry
   */
  forCommand(agent: AgentId, jws: string): Promise<CommandCredential[]>
  /**
   * For the controller's own fetches. Never rejects: without a login the registry has the last word.
   * @param repository as users write it
   */
  forRepository(repository: string): Promise<Login | null>
  /** The same. @param registry as logins are stored: `registry.example.com:5000` */
  forRegistry(registry: string): Promise<Login | null>
}

export type RegistryCredentialsPorts = {
  store: Pick<Store, 'agent' | 'registryLogin'>
  sealer: Sealer
  helpers: Helpers
  log: Log
}

/** All that is read of a command; the controller made it itself. */
const pullingCommand = z.object({ id: commandId, body: pullingBody })
const sealedPassword = z.object({ host: z.string(), password: z.string() })

/** Why the controller has no credentials to give, in words for people, without secrets. */
class NoCredentials extends Error {
  override readonly name = 'NoCredentials'
}

export const createRegistryCredentials = (ports: RegistryCredentialsPorts): RegistryCredentials => ({
  forCommand: async (agent, jws) => {
    try {
      const { id, body } = readUnverified('command', jws, pullingCommand)
      const registries = registriesFor(body)
      if (registries.length === 0) return []
      const row = await ports.store.agent(agent)
      if (row === undefined) return []
      const to = { command: id, key: encryptionJwk.parse(row.encryptionJwk) }
      const found = await Promise.all(registries.map((registry) => credentialFor(ports, registry, to)))
      return found.filter((one) => one !== undefined)
    } catch (error) {
      ports.log.error({ agent, err: error }, 'credentials of registries could not be prepared')
      return []
    }
  },
  forRepository: (repository) => loginOf(ports, registryOf(repository)),
  forRegistry: (registry) => loginOf(ports, registry)
})

const loginOf = async (ports: RegistryCredentialsPorts, registry: string): Promise<Login | null> => {
  try {
    return (await findLogin(ports, registry)) ?? null
  } catch (error) {
    const problem = error instanceof NoCredentials ? error.message : 'they could not be read'
    ports.log.warn({ registry, problem }, 'no credentials of a registry')
    return null
  }
}

type Addressee = { command: z.infer<typeof commandId>; key: EncryptionJwk }

const credentialFor = async (
  ports: RegistryCredentialsPorts,
  registry: string,
  { command, key }: Addressee
): Promise<CommandCredential | undefined> => {
  try {
    const login = await findLogin(ports, registry)
    if (login === undefined) return undefined
    const jwe = await sealRegistryLogin({ command, registry, ...login }, key)
    // a longer one would break the frame that it travels in, and with it the session
    if (jwe.length <= limits.maxCredentialChars) return { registry, jwe, problem: null }
    throw new NoCredentials(`the credentials of ${registry} that the controller has are too long`)
  } catch (error) {
    if (!(error instanceof NoCredentials)) throw error
    ports.log.warn({ registry, problem: error.message }, 'no credentials of a registry')
    return { registry, jwe: null, problem: error.message.slice(0, limits.maxSourceDetailChars) }
  }
}

const findLogin = async (
  { store, sealer, helpers }: RegistryCredentialsPorts,
  registry: string
): Promise<Login | undefined> => {
  const row = await store.registryLogin(registry)
  if (row === undefined) return undefined
  return row.helper === null ? openLogin(sealer, row) : askHelper(helpers, row.helper, registry)
}

const openLogin = async (
  sealer: Sealer,
  { host: registry, username, sealed }: RegistryLoginRow
): Promise<Login> => {
  try {
    const { host, password } = sealedPassword.parse(JSON.parse(await sealer.open(sealed ?? '')))
    if (host === registry && username !== null) return { username, password }
  } catch {
    // without the cause: it may quote what was opened
  }
  throw new NoCredentials(
    `the controller cannot open its credentials of ${registry}: log in again with \`longshore registry login\``
  )
}

const askHelper = (helpers: Helpers, program: string, registry: string): Promise<Login> =>
  helpers.ask(program, registry).catch((error: unknown) => {
    throw error instanceof HelperError ? new NoCredentials(`on the controller, ${error.message}`) : error
  })
