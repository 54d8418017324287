// By which name is a registry known where its credentials are kept and sent? Its host and port in small letters;
// Docker Hub, which has several, is `docker.io`.
import { isRegistryHost, splitRepository } from './spec/split-repository.ts'

export const hubName = 'docker.io'
/** Names and hosts of Docker Hub; the last is its key in config.json, without scheme and final slash. */
const hubNames: readonly string[] = [hubName, 'index.docker.io', 'registry-1.docker.io', 'index.docker.io/v1']

/** @param repository as `parseImage` accepts it */
export const registryOf = (repository: string): string => {
  const { registry } = splitRepository(repository)
  return registry === null ? hubName : commonName(registry)
}

/** What people type, with or without scheme. @returns undefined when it is no host that an image could name */
export const parseRegistryName = (text: string): string | undefined => {
  const bare = text.replace(/^https?:\/\//i, '').replace(/\/+$/, '')
  const name = commonName(bare)
  if (name === hubName) return name
  const { registry } = splitRepository(`${bare}/x`)
  return registry === bare && isRegistryHost(bare) ? name : undefined
}

const commonName = (host: string): string => {
  const lower = host.toLowerCase()
  return hubNames.includes(lower) ? hubName : lower
}
