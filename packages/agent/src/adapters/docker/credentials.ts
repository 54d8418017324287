// The host's own registry credentials, as the docker command keeps them: config.json with auths, credHelpers
// and credsStore. Read at every use, because tokens of helpers live for hours only. Nothing here is ever logged.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { RegistryLogin } from '@longshore/protocol'
import * as z from 'zod'
import { EngineError, isEngineError } from '../../engine-error.ts'

/** What X-Registry-Auth carries; undefined: ask without credentials. */
export type RegistryAuth = { [key: string]: unknown } | undefined
export type Credentials = { forRepository(repository: string): Promise<RegistryAuth> }

/** Key of Docker Hub in config.json and towards helpers. */
const hubKey = 'https://index.docker.io/v1/'
const helperLimitMs = 15_000
/** Words of docker-credential-helpers (its package credentials) when a helper has nothing for a server. */
const absentInHelper = 'credentials not found in native keychain'

const authEntry = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional()
})
const configFile = z.object({
  auths: z.record(z.string(), authEntry).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish()
})
const helperAnswer = z.object({ Username: z.string(), Secret: z.string() })

/** @param environment DOCKER_CONFIG names the folder of config.json; PATH finds the helpers */
export const createCredentials = (environment: Readonly<Record<string, string | undefined>>): Credentials => {
  const path = join(environment['DOCKER_CONFIG'] || join(homedir(), '.docker'), 'config.json')
  return {
    forRepository: async (repository) => {
      const config = await readConfig(path)
      if (config === undefined) return undefined
      const key = registryKey(repository)
      const helper =
        config.credHelpers?.[key === hubKey ? 'index.docker.io' : key] ?? config.credHelpers?.[key]
      if (helper !== undefined) return askHelper(helper, key, environment)
      if (config.credsStore) return askHelper(config.credsStore, key, environment)
      const found = Object.entries(config.auths ?? {}).find(([name]) => serverOf(name) === serverOf(key))
      return found === undefined ? undefined : readEntry(found[1], key)
    }
  }
}

/**
 * With the host's own credentials where it has some: somebody gave them to this very host. With those that were sent where
 * it has none, or the registry does not let it in by them, or its helper fails.
 * @param ask rejects with EngineError `registry-denied` when the credentials do not open
 */
export const askAs = async <T>(
  credentials: Credentials,
  { repository, login }: { repository: string; login: RegistryLogin | undefined },
  ask: (auth: RegistryAuth) => Promise<T>
): Promise<T> => {
  if (login === undefined) return ask(await credentials.forRepository(repository))
  try {
    const own = await credentials.forRepository(repository)
    if (own !== undefined) return await ask(own)
  } catch (error) {
    if (!isEngineError(error, 'registry-denied')) throw error
  }
  return ask(authOf(login.username, login.password, registryKey(repository)))
}

/** Registry of a repository as config.json names it: the part before the first slash if it looks like a host. */
export const registryKey = (repository: string): string => {
  const slash = repository.indexOf('/')
  const first = slash < 0 ? '' : repository.slice(0, slash)
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost'
  return !isHost || first === 'docker.io' || first === 'index.docker.io' ? hubKey : first
}

/** Keys may carry a scheme and a path: `https://registry.example.com/v2/`. */
const serverOf = (key: string): string => key.replace(/^https?:\/\//, '').replace(/\/.*$/, '')

const readConfig = async (path: string): Promise<z.infer<typeof configFile> | undefined> => {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new EngineError('registry-denied', `${path} cannot be read`)
  }
  try {
    return configFile.parse(JSON.parse(text))
  } catch {
    // Without the cause: its message may quote the file.
    throw new EngineError('registry-denied', `${path} is not a Docker configuration`)
  }
}

const readEntry = (entry: z.infer<typeof authEntry>, server: string): RegistryAuth => {
  if (entry.identitytoken) return { identitytoken: entry.identitytoken, serveraddress: server }
  const [username, password] = entry.auth ? splitAuth(entry.auth) : [entry.username, entry.password]
  return username === undefined || username === '' ? undefined : { username, password, serveraddress: server }
}

/** base64 of `user:password`; Docker pads with zero bytes. */
const splitAuth = (auth: string): [string, string] => {
  const text = Buffer.from(auth, 'base64').toString().replace(/\0+$/, '')
  const colon = text.indexOf(':')
  return [text.slice(0, colon), text.slice(colon + 1)]
}

/** Protocol of docker-credential-helpers: `get`, the server on stdin, JSON on stdout. */
const askHelper = (
  name: string,
  server: string,
  environment: Readonly<Record<string, string | undefined>>
): Promise<RegistryAuth> => {
  if (!/^[A-Za-z0-9._-]+$/.test(name))
    return Promise.reject(new EngineError('registry-denied', 'the credential helper has no proper name'))
  const program = `docker-credential-${name}`
  return new Promise((resolve, reject) => {
    const options = { timeout: helperLimitMs, maxBuffer: 1024 * 1024, env: { ...environment } }
    const child = execFile(program, ['get'], options, (error, stdout) => {
      if (error !== null && stdout.includes(absentInHelper)) return resolve(undefined)
      // Neither output nor cause: both may hold the secret.
      if (error !== null) return reject(new EngineError('registry-denied', `${program} failed for ${server}`))
      try {
        resolve(readHelperAnswer(stdout, server))
      } catch {
        reject(new EngineError('registry-denied', `${program} did not answer with credentials for ${server}`))
      }
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(server)
  })
}

const readHelperAnswer = (stdout: string, server: string): RegistryAuth => {
  const { Username, Secret } = helperAnswer.parse(JSON.parse(stdout))
  return authOf(Username, Secret, server)
}

/** Helpers say `<token>` where they have an identity token. */
const authOf = (username: string, password: string, serveraddress: string): RegistryAuth =>
  username === '<token>' ? { identitytoken: password, serveraddress } : { username, password, serveraddress }
