// Where does a repository lie, and how does its registry want to be asked? Docker Hub's three names, plain HTTP for
// loopback only, and the challenge of a token service (https://distribution.github.io/distribution/spec/auth/token/).
import { splitRepository } from '@longshore/protocol'

/** @returns the registry's address, and the repository's name there */
export const addressOf = (repository: string): { origin: string; path: string } => {
  const { registry, path } = splitRepository(repository)
  const isHub = registry === null || /^(?:index\.|registry-1\.)?docker\.io$/i.test(registry)
  if (isHub) {
    return { origin: 'https://registry-1.docker.io', path: path.includes('/') ? path : `library/${path}` }
  }
  return { origin: `${isLoopback(registry) ? 'http' : 'https'}://${registry}`, path }
}

/** @param host HOST[:PORT] */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(host)

export type Challenge =
  | { kind: 'basic' }
  | { kind: 'bearer'; realm: string; parameters: Record<string, string> }

/** @param header `WWW-Authenticate`; @returns null when it asks for nothing that is known here */
export const readChallenge = (header: string): Challenge | null => {
  if (/^basic\b/i.test(header)) return { kind: 'basic' }
  const [, rest] = /^bearer\s+(.*)$/i.exec(header) ?? []
  const pairs = [...(rest ?? '').matchAll(/([a-z_]+)="([^"]*)"/gi)].map(([, name, value]) => [name, value])
  const { realm, ...parameters } = Object.fromEntries(pairs) as Record<string, string>
  const isAddress = realm !== undefined && URL.canParse(realm) && /^https?:/i.test(realm)
  return isAddress ? { kind: 'bearer', realm, parameters } : null
}
