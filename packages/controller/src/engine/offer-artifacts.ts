// The controller's own image store as one of the sources that a deployment may use. A store that cannot say what it has
// is no source now: the registry may do.
import { limits } from '@longshore/protocol'
import type { Artifacts, Log } from '../ports.ts'
import type { Images } from './images.ts'

export const offerArtifacts = ({ images, log }: { images: Pick<Images, 'find'>; log: Log }): Artifacts => ({
  findArtifact: async (repository, reference) => {
    try {
      const found = await images.find(repository, reference)
      if (found === undefined) return undefined
      const { digest, platforms } = found
      const contents = platforms
        .filter(({ diffIds }) => diffIds.length <= limits.maxImageLayers)
        .map(({ platform, configDigest: config, diffIds }) => ({ platform, config, diffIds }))
      return { digest, contents: contents.slice(0, limits.maxImageContents) }
    } catch (error) {
      log.warn({ err: error, repository, reference }, 'the image store does not say whether it has an image')
      return undefined
    }
  }
})
