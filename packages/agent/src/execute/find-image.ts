// Is an image on this host, and by which name? By the one that its release pins; or by its id, where it came from
// another source under another name.
import { hasDigest, isPlatform, pinnedReference, type SeenImage } from '../core/image-match.ts'
import type { WantedImage } from '../core/steps.ts'
import { isEngineError, StepError } from '../engine-error.ts'
import type { Engine, Runtime } from '../ports.ts'

/** By what the engine is asked for it. */
export type FoundImage = { image: SeenImage; reference: string }

/**
 * @param wanted.pullPolicy `never`: that it is not here is an error
 * @throws StepError `image-not-found`
 */
export const findImage = async (
  runtime: Pick<Runtime, 'engine' | 'images'>,
  wanted: WantedImage & { pullPolicy?: 'always' | 'missing' | 'never' }
): Promise<FoundImage | undefined> => {
  const found = (await findPinned(runtime, wanted)) ?? (await findKnown(runtime, wanted))
  if (found !== undefined || wanted.pullPolicy !== 'never') return found
  throw new StepError(
    'image-not-found',
    `${pinnedReference(wanted)} is not on this host and pull_policy is never`
  )
}

const findPinned = async (
  { engine }: Pick<Runtime, 'engine'>,
  wanted: WantedImage
): Promise<FoundImage | undefined> => {
  const reference = pinnedReference(wanted)
  const image = await engine.inspectImage(reference)
  const isIt = image !== undefined && hasDigest(image, wanted.digest) && isPlatform(image, wanted.platform)
  return isIt ? { image, reference } : undefined
}

/** It was verified when it came; an id names its content for ever. */
const findKnown = async (
  { engine, images }: Pick<Runtime, 'engine' | 'images'>,
  wanted: WantedImage
): Promise<FoundImage | undefined> => {
  const id = images.known.find(wanted)
  const image = id === undefined ? undefined : await engine.inspectImage(id)
  return image?.id === id && image !== undefined ? { image, reference: image.id } : undefined
}

/** The image itself goes with its last name, unless a container uses it. */
export const dropNames = async (engine: Engine, names: readonly string[]): Promise<void> => {
  for (const name of new Set(names)) {
    try {
      await engine.removeImage(name)
    } catch (error) {
      // A container uses it, or it went with an earlier name.
      if (!isEngineError(error, 'conflict', 'not-found', 'image-missing')) throw error
    }
  }
}
