// Steps around images: resolve, fetch, verify, tag, prune. A pull counts only when inspect finds the digest.
import { describeStaged, hasDigest, isPlatform, pinnedReference, releaseOfTag } from '../core/image-match.ts'
import type { Finding } from '../core/steps.ts'
import { EngineError, isEngineError, StepError } from '../engine-error.ts'
import type { Engine, Runtime } from '../ports.ts'
import { nothing, type StepOf } from './containers.ts'
import { throwIfStopped } from './pause.ts'

/** No byte and no layer further for this long: the registry or the network hangs. */
export const noProgressMs = 30_000

export const resolveImage = async (
  { engine }: Runtime,
  { image }: StepOf<'resolve-image'>
): Promise<Finding> => ({
  kind: 'digest',
  digest: image.digest ?? (await engine.resolveDigest(image))
})

/**
 * A digest names content for ever: what inspect finds already is not asked for again, except by `always`; and then a
 * registry that does not answer takes nothing away, so that going back needs none.
 */
export const fetchImage = async (runtime: Runtime, step: StepOf<'fetch-image'>): Promise<Finding> => {
  const { engine, signal } = runtime
  const isHere = await findImage(engine, step)
  if (isHere && step.pullPolicy !== 'always') return nothing
  try {
    await engine.pullImage({
      repository: step.repository,
      digest: step.digest,
      platform: step.platform,
      noProgressMs,
      signal,
      onProgress: (bytes) => runtime.progress('pulling', { bytes })
    })
  } catch (error) {
    throwIfStopped(runtime)
    if (isHere && isEngineError(error, 'registry-unavailable', 'no-progress')) return nothing
    throw error
  }
  return nothing
}

/** The image may be on its way to the registry still: that it is not here is an objection only if it may not be fetched. */
export const lookForImage = async ({ engine }: Runtime, step: StepOf<'look-for-image'>): Promise<Finding> => {
  await findImage(engine, step)
  return nothing
}

/** @returns whether the image is here. @throws StepError `image-not-found` when it is not, and may not be fetched */
const findImage = async (
  engine: Engine,
  step: StepOf<'fetch-image'> | StepOf<'look-for-image'>
): Promise<boolean> => {
  const reference = pinnedReference(step)
  const seen = await engine.inspectImage(reference)
  const isHere = seen !== undefined && hasDigest(seen, step.digest) && isPlatform(seen, step.platform)
  if (isHere || step.pullPolicy !== 'never') return isHere
  throw new StepError('image-not-found', `${reference} is not on this host and pull_policy is never`)
}

export const verifyImage = async ({ engine }: Runtime, step: StepOf<'verify-image'>): Promise<Finding> => {
  const reference = pinnedReference(step)
  const seen = await engine.inspectImage(reference)
  if (seen === undefined || !hasDigest(seen, step.digest))
    throw new StepError('image-invalid', `after the pull, inspect does not find ${reference}`)
  if (!isPlatform(seen, step.platform))
    throw new StepError(
      'image-invalid',
      `${reference} is ${seen.os}/${seen.architecture}, not ${step.platform}`
    )
  return { kind: 'image', image: describeStaged(seen, step.digest) }
}

export const tagImage = async ({ engine }: Runtime, step: StepOf<'tag-image'>): Promise<Finding> => {
  await engine.tagImage(step.reference, step.repository, step.tag)
  return nothing
}

/** Keeps the release and `keepImages` before it; tags of later releases are left to their own settle. */
export const pruneImages = async ({ engine }: Runtime, step: StepOf<'prune-images'>): Promise<Finding> => {
  const releases = (await engine.listTags(step.repository))
    .flatMap((tag) => releaseOfTag(tag, step.environment) ?? [])
    .filter((release) => release <= step.release)
    .toSorted((a, b) => b - a)
  const warnings: string[] = []
  for (const release of releases.slice(step.keepImages + 1)) {
    const reference = `${step.repository}:${step.environment}-r${release}`
    try {
      await removeTagged(engine, reference)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      if (error.code === 'unreachable' || error.code === 'timed-out') throw error
      warnings.push(`image ${reference}: ${error.message}`)
    }
  }
  return { kind: 'warnings', warnings }
}

/** The digest reference goes with our last tag, but not while a tag of anybody else names the image. */
const removeTagged = async (engine: Engine, reference: string): Promise<void> => {
  const seen = await engine.inspectImage(reference)
  if (seen === undefined) return
  await engine.removeImage(reference)
  const rest = await engine.inspectImage(seen.id)
  if (rest === undefined || rest.repoTags.length > 0) return
  for (const digestReference of rest.repoDigests) {
    try {
      await engine.removeImage(digestReference)
    } catch (error) {
      // A container of somebody else uses it, or it went with an earlier reference.
      if (!isEngineError(error, 'conflict', 'not-found', 'image-missing')) throw error
    }
  }
}
