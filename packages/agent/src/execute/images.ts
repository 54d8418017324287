// Steps around images that are on the host, or are named by a tag: resolve, look, verify, tag, prune. Fetching is
// fetch-image.ts.
import type { SourceFailure } from '@longshore/protocol'
import { describeStaged, isPlatform, pinnedReference, releaseOfTag } from '../core/image-match.ts'
import { registryAlone, repositoryAt, summarise } from '../core/image-sources.ts'
import type { Finding } from '../core/steps.ts'
import { EngineError, isEngineError, StepError } from '../engine-error.ts'
import type { Engine, Runtime } from '../ports.ts'
import { nothing, type StepOf } from './containers.ts'
import { asFailure } from './fetch-image.ts'
import { dropNames, findImage } from './find-image.ts'
import { logIn } from './log-in.ts'
import { throwIfStopped } from './pause.ts'

/** A registry that needs longer is as good as away; with several to ask, all have to be asked within the run. */
const resolveLimitMs = 30_000
const resolveAllMs = 45_000

/**
 * In the order of the spec, whatever failed lately: a mirror may be behind, and a tag is what the first one says. The
 * controller answers for its own store itself.
 */
export const resolveImage = async (runtime: Runtime, step: StepOf<'resolve-image'>): Promise<Finding> => {
  const { image } = step
  if (image.digest !== null) return { kind: 'digest', digest: image.digest }
  const { allowed, refused } = step.sources ?? registryAlone
  const asked = allowed.filter((one) => one.kind !== 'artifact')
  const limitMs = Math.min(resolveLimitMs, resolveAllMs / Math.max(1, asked.length))
  const failed: SourceFailure[] = [...refused]
  for (const source of asked) {
    const repository = repositoryAt(source, image.repository)
    try {
      const digest = await logIn(runtime, repository, (login) =>
        runtime.engine.resolveDigest({ ...image, repository }, login, limitMs)
      )
      return { kind: 'digest', digest, served: { source, failed } }
    } catch (error) {
      throwIfStopped(runtime)
      const failure = asFailure(source, error)
      if (failure === undefined) throw error
      failed.push(failure)
    }
  }
  const { code, detail } = summarise(failed)
  throw new StepError(code, detail, { failedSources: failed })
}

/** The image may be on its way to the registry still: that it is not here is an objection only if it may not be fetched. */
export const lookForImage = async (runtime: Runtime, step: StepOf<'look-for-image'>): Promise<Finding> => {
  await findImage(runtime, step)
  return nothing
}

export const verifyImage = async (runtime: Runtime, step: StepOf<'verify-image'>): Promise<Finding> => {
  const found = await findImage(runtime, step)
  if (found !== undefined) return { kind: 'image', image: describeStaged(found.image, step.digest) }
  const reference = pinnedReference(step)
  const other = await runtime.engine.inspectImage(reference)
  throw new StepError(
    'image-invalid',
    other === undefined || isPlatform(other, step.platform)
      ? `after the pull, inspect does not find ${reference}`
      : `${reference} is ${other.os}/${other.architecture}, not ${step.platform}`
  )
}

export const tagImage = async (runtime: Runtime, step: StepOf<'tag-image'>): Promise<Finding> => {
  const found = step.image && (await findImage(runtime, step.image))
  await runtime.engine.tagImage(found?.reference ?? step.reference, step.repository, step.tag)
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

/**
 * Its other names go with our last tag: digests that it was pulled by, but not while a tag of anybody else names the
 * image. Neither goes while a container uses it.
 */
const removeTagged = async (engine: Engine, reference: string): Promise<void> => {
  const seen = await engine.inspectImage(reference)
  if (seen === undefined) return
  try {
    await engine.removeImage(reference)
  } catch (error) {
    // A container of the service, or of somebody else, is made of it: the next settle asks again.
    if (isEngineError(error, 'conflict')) return
    throw error
  }
  const rest = await engine.inspectImage(seen.id)
  if (rest !== undefined && rest.repoTags.length === 0) await dropNames(engine, rest.repoDigests)
}
