// Where an image may come from, apart from what it is: the registry that its name says, a mirror of it, or the
// controller's own store. Written one way in service files, settings and on screens, and one way on the wire.
import * as z from 'zod'
import { maxImageSources } from './limits.ts'
import { isRegistryHost, isRepositoryPath, splitRepository } from './spec/split-repository.ts'

/** `at`: HOST[:PORT][/PREFIX], below which the mirror has the same paths as the registry. */
export const imageSource = z.discriminatedUnion('kind', [
  /** As the image is named. */
  z.strictObject({ kind: z.literal('registry') }),
  z.strictObject({ kind: z.literal('mirror'), at: z.string().min(1).max(512) }),
  /** The controller's image store, by way of the agent. */
  z.strictObject({ kind: z.literal('artifact') })
])
export type ImageSource = z.infer<typeof imageSource>

/** In the order in which they are tried. */
export const imageSources = z.array(imageSource).min(1).max(maxImageSources)

export const registrySource: ImageSource = { kind: 'registry' }
export const artifactSource: ImageSource = { kind: 'artifact' }

/** `registry`, `mirror:mirror.example.com/hub`, `artifact`: the same text for the same source. */
export const sourceText = (source: ImageSource): string =>
  source.kind === 'mirror' ? `mirror:${source.at}` : source.kind

/** What `sourceText` writes. @returns undefined for anything else */
export const parseSource = (text: string): ImageSource | undefined => {
  if (text === 'registry' || text === 'artifact') return { kind: text }
  const at = text.startsWith('mirror:') ? text.slice('mirror:'.length) : ''
  return isMirrorPlace(at) ? { kind: 'mirror', at } : undefined
}

/** Whether only the registry is meant, which every agent knows without being told. */
export const isRegistryOnly = (sources: readonly ImageSource[]): boolean =>
  sources.length === 1 && sources[0]?.kind === 'registry'

/** The first part has to look like a registry: Docker would take any other for a path on Docker Hub. */
export const isMirrorPlace = (text: string): boolean => {
  const { registry, path } = splitRepository(`${text}/x`)
  return registry !== null && isRegistryHost(registry) && isRepositoryPath(path)
}

/**
 * Under which name a mirror has the images of a repository: the path of the registry, with `library/` where Docker Hub
 * leaves it out.
 * @param repository as `parseImage` accepts it
 */
export const mirrorRepository = (repository: string, at: string): string => {
  const { registry, path } = splitRepository(repository)
  const isHub = registry === null || registry === 'docker.io' || registry === 'index.docker.io'
  return `${at}/${isHub && !path.includes('/') ? `library/${path}` : path}`
}
