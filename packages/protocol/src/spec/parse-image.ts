// Image references as people write them: `nginx`, `localhost:5000/team/api:1.2`, `repo@sha256:...`.
// Grammar: the reference package of the Distribution project.
import { digest } from '../ids.ts'
import { ValueError } from './read-value.ts'
import type { ImageReference } from './service-spec.ts'
import { isRegistryHost, isRepositoryPath, splitRepository } from './split-repository.ts'

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/** @throws ValueError */
export const parseImage = (text: string): ImageReference => {
  const at = text.indexOf('@')
  const name = at < 0 ? text : text.slice(0, at)
  const parsedDigest = at < 0 ? null : digest.safeParse(text.slice(at + 1))
  if (parsedDigest !== null && !parsedDigest.success) {
    throw new ValueError('an image digest is sha256: and 64 hexadecimal digits')
  }
  const colon = name.lastIndexOf(':')
  const hasTag = colon > name.lastIndexOf('/')
  const repository = hasTag ? name.slice(0, colon) : name
  const tag = hasTag ? name.slice(colon + 1) : null
  if (!isRepository(repository)) {
    throw new ValueError('expected an image like registry.example.com/team/api:1.2, its path in lower case')
  }
  if (tag !== null && !tagPattern.test(tag))
    throw new ValueError('the tag of the image has characters not allowed in a tag')
  return { repository, tag, digest: parsedDigest?.data ?? null }
}

const isRepository = (repository: string): boolean => {
  const { registry, path } = splitRepository(repository)
  if (registry !== null && !isRegistryHost(registry)) return false
  return path.length <= 255 && isRepositoryPath(path)
}
