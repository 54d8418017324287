// Where does the registry lie that stores images for the controller, and under which names do things lie there? All of
// it is in one repository; every manifest has a tag, since a registry that cleans up may throw away those without one.
import { type Digest, digest, isRepositoryPath, registryOf, splitRepository } from '@longshore/protocol'
import { isLoopback } from './registry-address.ts'

export type StoreAddress = {
  /** `https://registry.internal:5000` */
  origin: string
  /** The one repository that is used. */
  repository: string
  /** As `longshore registry login` calls the registry. */
  registry: string
}

/** When the address has no path. */
const defaultRepository = 'longshore'

/** @returns undefined when it is not http(s)://HOST[:PORT][/PATH], the path a repository's name */
export const readStoreAddress = (text: string): StoreAddress | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return undefined
  const repository = url.pathname.replace(/^\/|\/+$/g, '') || defaultRepository
  if (!isRepositoryPath(repository)) return undefined
  return { origin: url.origin, repository, registry: registryOf(`${nameOf(url)}/${repository}`) }
}

/** A bare name is no registry in the name of an image: it needs its port. */
const nameOf = ({ host, hostname, protocol }: URL): string =>
  splitRepository(`${host}/x`).registry === null
    ? `${hostname}:${protocol === 'https:' ? '443' : '80'}`
    : host

export const isEncryptedOrLocal = ({ origin }: StoreAddress): boolean =>
  origin.startsWith('https:') || isLoopback(new URL(origin).host)

/** Says whose it is, so that several installations can share a repository. */
export const storeTagOf = (installation: string, digest: Digest): string =>
  `${installation}-${digest.slice('sha256:'.length)}`

export type StoreTag = { installation: string; digest: Digest }

/** @returns undefined for a tag that no controller has set */
export const readStoreTag = (tag: string): StoreTag | undefined => {
  const [, installation = '', hex = ''] = /^(ins_[0-9a-v]{20})-([0-9a-f]{64})$/.exec(tag) ?? []
  const read = digest.safeParse(`sha256:${hex}`)
  return read.success ? { installation, digest: read.data } : undefined
}
