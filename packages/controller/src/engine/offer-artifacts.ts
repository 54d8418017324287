// The controller's own image store as one of the sources that a deployment may use. A store that cannot say what it has
// is no source now: the registry may do. What it lacks it fetches, from one place after the other.
import { limits } from '@longshore/protocol'
import { UpstreamError } from '../core/images/upstream-error.ts'
import type { Artifacts, ArtifactWanted, FoundArtifact, Log } from '../ports.ts'
import type { ImageCache } from './cache-images.ts'
import type { Artifact } from './find-artifact.ts'
import type { Images } from './images.ts'
import type { RegistryCredentials } from './registry-credentials.ts'

type Ports = {
  images: Pick<Images, 'find'>
  cache: ImageCache
  logins: Pick<RegistryCredentials, 'forRepository'>
  configsOf: Artifacts['configsOf']
  log: Log
}

export const offerArtifacts = ({ images, cache, logins, configsOf, log }: Ports): Artifacts => ({
  findArtifact: async (repository, reference) => {
    try {
      const found = await images.find(repository, reference)
      return found && offered(found)
    } catch (error) {
      log.warn({ err: error, repository, reference }, 'the image store does not say whether it has an image')
      return undefined
    }
  },
  fetchArtifact: async (wanted) => offered(await fetchFrom({ cache, logins }, wanted)),
  configsOf
})

const offered = ({ digest, platforms }: Artifact): FoundArtifact => {
  const contents = platforms
    .filter(({ diffIds }) => diffIds.length <= limits.maxImageLayers)
    .map(({ platform, configDigest: config, diffIds }) => ({ platform, config, diffIds }))
  return { digest, contents: contents.slice(0, limits.maxImageContents) }
}

/** Only what a registry did leads to the next place: a full disk is the same for all. */
const fetchFrom = async (
  { cache, logins }: Pick<Ports, 'cache' | 'logins'>,
  { places, ...wanted }: ArtifactWanted
): Promise<Artifact> => {
  const failures: UpstreamError[] = []
  for (const from of places) {
    try {
      return await cache.ensure({ ...wanted, from, login: await logins.forRepository(from) })
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      failures.push(error)
    }
  }
  const [only] = failures
  if (only !== undefined && failures.length === 1) throw only
  const code = only?.code ?? 'registry-unknown'
  throw new UpstreamError(
    code,
    failures.map(({ message }) => message).join('; ') || 'no source is a registry'
  )
}
