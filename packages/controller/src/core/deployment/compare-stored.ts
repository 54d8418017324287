// Is what the controller's store has under a tag the very image that its registry has, under another manifest? Asked once
// the digest is known, so that hosts can take the one for the other when the registry fails after that. Nothing waits
// long for the answer, and nothing fails for want of it; asking itself is left to the engine.
import { type Digest, type ImageSource, registrySource } from '@longshore/protocol'
import { placesOf } from '../requests/choose-cache.ts'
import { withPart } from './change-step.ts'
import type { Step } from './events.ts'
import type { DeploymentState, Part } from './state.ts'

/** A registry that answers does so in less; hosts begin without the answer of one that does not. */
export const compareLimitMs = 3_000

export type Comparison = Pick<Part, 'service' | 'repository'> & {
  /** Which the registry has. */
  digest: Digest
  /** Of what the store has, `linux/arm64`. */
  platforms: string[]
  sources: readonly ImageSource[]
}

/** What the controller is to ask registries now, also after a restart in the middle of it. */
export const comparisonsOf = (state: DeploymentState): Comparison[] =>
  state.phase === 'requested' ? state.parts.flatMap((part) => comparisonOf(part) ?? []) : []

const comparisonOf = ({ comparing, ...part }: Part): Comparison | undefined => {
  const { service, repository, digest, artifact, sources = [registrySource] } = part
  if (comparing == null || digest === null || artifact == null) return undefined
  // an index may leave the variant out
  const platforms = artifact.contents.map(({ platform }) => platform.split('/').slice(0, 2).join('/'))
  return { service, repository, digest, platforms: [...new Set(platforms)], sources }
}

export const isComparing = ({ parts }: DeploymentState): boolean =>
  parts.some(({ comparing }) => comparing != null)

export const beginComparisons = (step: Step, atMs: number): Step =>
  step.state.parts.reduce(
    (done, part) =>
      isWorthAsking(part) ? withPart(done, part, { comparing: { untilMs: atMs + compareLimitMs } }) : done,
    step
  )

/** Once, where hosts may go to both, and by a tag: that is how they ask the store for what it has under another digest. */
const isWorthAsking = ({
  comparing,
  digest,
  tag,
  artifact,
  repository,
  cache,
  sources = []
}: Part): boolean =>
  comparing === undefined &&
  cache == null &&
  tag !== null &&
  digest !== null &&
  artifact != null &&
  artifact.digest !== digest &&
  artifact.contents.length > 0 &&
  sources.some(({ kind }) => kind === 'artifact') &&
  placesOf(repository, sources).length > 0

/** @param configs digests of the configurations, of what the registry has; none: nobody can say */
export const recordCompared = (step: Step, service: Part['service'], configs: readonly Digest[]): Step => {
  const part = step.state.parts.find((one) => one.service === service)
  if (step.state.phase !== 'requested' || part?.comparing == null || part.artifact == null) return step
  const { artifact, digest } = part
  const contents = artifact.contents.filter(({ config }) => configs.includes(config))
  const isSame = digest !== null && contents.length > 0
  return withPart(step, part, { comparing: null, ...(isSame && { artifact: { digest, contents } }) })
}

/** Those whose time is over. */
export const recordSlowComparisons = (step: Step, atMs: number): Step =>
  step.state.parts.reduce(
    (done, { service, comparing }) =>
      comparing != null && comparing.untilMs <= atMs ? recordCompared(done, service, []) : done,
    step
  )

export const moveComparisons = (parts: Part[], move: (untilMs: number) => number): Part[] =>
  parts.map((part) =>
    part.comparing == null ? part : { ...part, comparing: { untilMs: move(part.comparing.untilMs) } }
  )
