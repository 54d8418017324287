// The step that brings an image to the host: from one source after the other until one has it, verified before it
// counts. What came under another name than its own is known by its id from then on, and keeps no name but a tag of ours.
import { type Digest, type ImageSource, type SourceFailure, sourceText } from '@longshore/protocol'
import { isPlatform, isSameImage, pinnedReference, type SeenImage } from '../core/image-match.ts'
import {
  failureOf,
  isLeftForNext,
  isPassing,
  isTroubled,
  registryAlone,
  repositoryAt,
  summarise
} from '../core/image-sources.ts'
import type { FetchPlan, Finding } from '../core/steps.ts'
import { EngineError, engineErrors, isEngineError, StepError } from '../engine-error.ts'
import type { Runtime } from '../ports.ts'
import type { StepOf } from './containers.ts'
import { dropNames, findImage } from './find-image.ts'
import { logIn } from './log-in.ts'
import { throwIfStopped } from './pause.ts'
import { demandRoom, watchRoom } from './room.ts'

/** No byte and no layer further for this long: the source or the network hangs. */
export const noProgressMs = 30_000

type FetchStep = StepOf<'fetch-image'>

/**
 * A digest names content for ever: what is here already is not asked for again, except by `always`; and then a source
 * that does not answer takes nothing away, so that going back needs none.
 */
export const fetchImage = async (runtime: Runtime, step: FetchStep): Promise<Finding> => {
  const isHere = (await findImage(runtime, step)) !== undefined
  if (isHere && step.pullPolicy !== 'always') return fetched(step, null, [])
  const { allowed, refused } = step.plan?.sources ?? registryAlone
  const failed: SourceFailure[] = [...refused]
  for (const source of runtime.images.memory.inOrder(allowed, step.repository)) {
    try {
      const manifest = await fetchFrom(runtime, step, source, isHere)
      runtime.images.memory.served(source, step.repository)
      return { ...fetched(step, source, failed), manifest }
    } catch (error) {
      throwIfStopped(runtime)
      const failure = asFailure(source, error)
      if (failure === undefined) throw error
      if (isTroubled(failure.code)) runtime.images.memory.failed(source, step.repository)
      failed.push(failure)
      if (allowed.length > 1) runtime.progress(`${sourceText(source)} does not give it: ${failure.detail}`)
    }
  }
  if (isHere && failed.every(({ code }) => isPassing(code))) return fetched(step, null, failed)
  const { code, detail } = summarise(failed)
  throw new StepError(code, detail, { failedSources: failed })
}

const fetched = (step: FetchStep, source: ImageSource | null, failed: SourceFailure[]) => ({
  kind: 'fetched' as const,
  served: { source, failed },
  manifest: step.digest
})

/** @returns undefined for what is no fault of the source */
export const asFailure = (source: ImageSource, error: unknown): SourceFailure | undefined => {
  if (!(error instanceof EngineError) && !(error instanceof StepError)) return undefined
  const code = error instanceof EngineError ? engineErrors[error.code].report : error.code
  return isLeftForNext(code) ? failureOf(source, code, error.message) : undefined
}

/** Where the engine pulls from. */
type Place = { source: ImageSource; repository: string; isAnonymous: boolean }

/** @returns the digest under which the source has it */
const fetchFrom = async (
  runtime: Runtime,
  step: FetchStep,
  source: ImageSource,
  isHere: boolean
): Promise<Digest> => {
  if (source.kind !== 'artifact') {
    const repository = repositoryAt(source, step.repository)
    return fetchAt(runtime, step, { source, repository, isAnonymous: false }, isHere)
  }
  const door = await runtime.images.artifacts.open(step.repository)
  try {
    return await fetchAt(runtime, step, { source, repository: door.repository, isAnonymous: true }, isHere)
  } finally {
    await door.close()
  }
}

/** By the digest; where the source has none such, by the tag, if the image is known by what it is made of. */
const fetchAt = async (runtime: Runtime, step: FetchStep, place: Place, isHere: boolean): Promise<Digest> => {
  try {
    return await pullAs(runtime, step, place, step.digest, isHere)
  } catch (error) {
    const isUnknown = isEngineError(error, 'image-missing')
    if (!isUnknown || step.tag === null || (step.plan?.contents.length ?? 0) === 0) throw error
    const { repository } = place
    const reference = { repository, tag: step.tag, digest: null }
    const other = await logIn(runtime, repository, (login) => runtime.engine.resolveDigest(reference, login))
    if (other === step.digest) throw error
    return pullAs(runtime, step, place, other, isHere)
  }
}

const pullAs = async (
  runtime: Runtime,
  step: FetchStep,
  place: Place,
  digest: Digest,
  isHere: boolean
): Promise<Digest> => {
  const { engine } = runtime
  const { repository, isAnonymous, source } = place
  const reference = `${repository}@${digest}`
  const minFreeBytes = step.plan?.minFreeBytes ?? 0
  const room = await watchRoom(runtime, minFreeBytes)
  try {
    await logIn(runtime, repository, (login) =>
      engine.pullImage({
        repository,
        digest,
        isAnonymous,
        login,
        platform: step.platform,
        noProgressMs,
        signal: AbortSignal.any([runtime.signal, room.signal]),
        onProgress: (bytes) => {
          room.needs(bytes.total - bytes.done)
          runtime.progress(`pulling from ${sourceText(source)}`, { bytes })
        }
      })
    )
  } catch (error) {
    room.throwIfFull()
    throw error
  }
  const seen = await verifyPulled(runtime, step, reference)
  const isNew = !isHere
  if (reference !== pinnedReference(step)) await adopt(runtime, step, seen, reference)
  else runtime.images.known.forget(step)
  await demandRoom(runtime, minFreeBytes, isNew ? () => removeAgain(runtime, step, reference) : undefined)
  return digest
}

/** A pull counts only when inspect finds what was wanted. */
const verifyPulled = async (runtime: Runtime, step: FetchStep, reference: string): Promise<SeenImage> => {
  const seen = await runtime.engine.inspectImage(reference)
  if (seen === undefined || !isSameImage(seen, { digest: step.digest, contents: contentsOf(step.plan) })) {
    if (seen !== undefined) await dropNames(runtime.engine, [reference])
    const what = seen === undefined ? 'inspect does not find' : 'is another image than'
    throw new StepError('image-invalid', `after the pull, ${what} ${pinnedReference(step)}`)
  }
  if (isPlatform(seen, step.platform)) return seen
  throw new StepError(
    'image-invalid',
    `${reference} is ${seen.os}/${seen.architecture}, not ${step.platform}`
  )
}

const contentsOf = (plan: FetchPlan | undefined) => plan?.contents ?? []

/** First a tag of ours, then the memory of its id, then the name that it came under goes: a crash leaves none without. */
const adopt = async (
  { engine, images }: Runtime,
  step: FetchStep,
  seen: SeenImage,
  reference: string
): Promise<void> => {
  const { plan, digest, platform } = step
  if (plan === undefined) throw new RangeError('an image came from another place, and no tag of ours for it')
  await engine.tagImage(seen.id, plan.keepAs.repository, plan.keepAs.tag)
  images.known.remember({ digest, platform, id: seen.id })
  await dropNames(engine, [reference, ...seen.repoDigests.filter(images.artifacts.isOwnName)])
}

const removeAgain = async (runtime: Runtime, step: FetchStep, reference: string): Promise<void> => {
  const { plan } = step
  runtime.images.known.forget(step)
  const own = plan === undefined ? [] : [`${plan.keepAs.repository}:${plan.keepAs.tag}`]
  await dropNames(runtime.engine, [reference, ...own])
}
