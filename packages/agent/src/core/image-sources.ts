// In which order sources are tried, when one is left for the next, and what is said when none is left. Trying them is
// execute/fetch-image.ts.
import {
  type ImageSource,
  limits,
  mirrorRepository,
  type RunErrorCode,
  type SourceFailure,
  sourceText,
  splitRepository
} from '@longshore/protocol'
import type { UsableSources } from './steps.ts'

/** What a run that an older agent or controller began means. */
export const registryAlone: UsableSources = { allowed: [{ kind: 'registry' }], refused: [] }

/**
 * A source that failed is tried last for so long: long enough that the hosts of a rollout do not all wait for it,
 * short enough that one that came back serves again soon.
 */
export const triedLastMs = 10 * 60_000

/** When each source failed last, by `sourceKey`. */
export type FailedAt = ReadonlyMap<string, number>

/** A registry is down for all of its repositories. */
export const sourceKey = (source: ImageSource, repository: string): string =>
  source.kind === 'registry' ? `registry ${splitRepository(repository).registry}` : sourceText(source)

/** @param nowMs on the clock of `failedAt` */
export const orderSources = (
  sources: readonly ImageSource[],
  repository: string,
  failedAt: FailedAt,
  nowMs: number
): ImageSource[] => {
  const hasFailed = (source: ImageSource): boolean => {
    const atMs = failedAt.get(sourceKey(source, repository))
    return atMs !== undefined && nowMs - atMs < triedLastMs
  }
  return [...sources.filter((one) => !hasFailed(one)), ...sources.filter(hasFailed)]
}

/** By which name the engine asks there. The controller's store is asked by way of the agent: not here. */
export const repositoryAt = (
  source: Exclude<ImageSource, { kind: 'artifact' }>,
  repository: string
): string => (source.kind === 'mirror' ? mirrorRepository(repository, source.at) : repository)

/** Whether another source may do better: a full disk and an engine that is away are no fault of this one. */
export const isLeftForNext = (code: RunErrorCode): boolean => leftForNext.has(code)

const leftForNext: ReadonlySet<RunErrorCode> = new Set([
  'image-not-found',
  'image-invalid',
  'registry-denied',
  'registry-unavailable',
  'no-progress',
  'engine-error',
  'spec-rejected',
  'policy'
])

/** Whether it is tried last for a while. That it lacks one image, or keeps it from this host, costs no time. */
export const isTroubled = (code: RunErrorCode): boolean => isPassing(code) || code === 'image-invalid'

/** Whether the same source may have the image a moment later, or has it and cannot be asked. */
export const isPassing = (code: RunErrorCode): boolean =>
  code === 'registry-unavailable' || code === 'no-progress'

export const failureOf = (source: ImageSource, code: RunErrorCode, detail: string): SourceFailure => ({
  source,
  code,
  detail: detail.slice(0, limits.maxSourceDetailChars)
})

/** Of several, the first that is more than that the image is not there: that one may be worth looking into. */
export const summarise = (failures: readonly SourceFailure[]): { code: RunErrorCode; detail: string } => {
  const [first] = failures
  if (first === undefined)
    return { code: 'image-not-found', detail: 'there is no source to get the image from' }
  if (failures.length === 1) return { code: first.code, detail: first.detail }
  const worst = failures.find(({ code }) => code !== 'image-not-found') ?? first
  const told = failures.map(({ source, detail }) => `${sourceText(source)}: ${detail}`)
  return { code: worst.code, detail: `no source has given it; ${told.join('; ')}` }
}
