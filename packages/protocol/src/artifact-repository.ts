// Under which name the controller's image store keeps the images of a repository. Pure and the same on both ends:
// the controller maps names in requests by it, and the agent asks by it, so that every spelling of one repository
// meets in one place.
import { splitRepository } from './spec/split-repository.ts'

const hub = 'docker.io'
const hubAliases: readonly string[] = [hub, 'index.docker.io', 'registry-1.docker.io']

/**
 * The full name with its registry first, spelled so that it is a valid OCI repository name:
 * `registry.example.com/team/api` stays as it is, `nginx` is `docker.io/library/nginx`, and a port, which OCI
 * names cannot hold, is written out: `localhost:5000/api` is `localhost.port-5000/api`. A name that was mapped
 * already stays as it is.
 * @param repository an image's repository that `parseImage` accepts, or a repository name of a request
 */
export const artifactRepository = (repository: string): string => {
  const { registry, path } = splitRepository(repository)
  if (registry !== null && !hubAliases.includes(registry.toLowerCase()))
    return `${hostName(registry)}/${path}`
  return `${hub}/${path.includes('/') ? path : `library/${path}`}`
}

/** A registry's host as a part of an OCI name: lower case, no colon, no bracket, no two separators in a row. */
const hostName = (registry: string): string => {
  const [, address, name = '', port] = /^(?:\[(.*)\]|(.*?))(?::(\d+))?$/.exec(registry.toLowerCase()) ?? []
  // the x on both sides: an address may begin and end with a colon, a part of a name not with a separator
  const host = address === undefined ? name : `ipv6.x${address.replaceAll(':', '-')}x`
  const suffix = port === undefined ? '' : `.port-${port}`
  // no DNS name has two dots or a dot beside a hyphen; one that does is given some valid name
  return `${host.replace(/[.-]*\.[.-]*/g, '.')}${suffix}`
}
