// With `cache: true` the controller fetches the image once its digest is known, and hosts are told of it only then: it
// comes first among their sources. When it cannot, hosts use their own. Fetching itself is left to the engine.
import { type Digest, type ImageSource, registrySource } from '@longshore/protocol'
import { artifactFirst } from '../requests/choose-sources.ts'
import { withPart, withState } from './change-step.ts'
import type { Step } from './events.ts'
import type { DeploymentState, Part, Stored } from './state.ts'

/** A registry that is so slow would not be faster for the hosts, but each of them has its own time limit. */
export const fetchLimitMs = 15 * 60_000

export type Fetch = Pick<Part, 'service' | 'repository'> & {
  digest: Digest
  platforms: string[] | null
  /** Where the hosts would get it, in order. */
  sources: readonly ImageSource[]
}

/** What the controller is to fetch now, also after a restart in the middle of it. */
export const fetchesOf = (state: DeploymentState): Fetch[] =>
  state.phase === 'requested' ? state.parts.flatMap((part) => fetchOf(part) ?? []) : []

const fetchOf = ({ service, repository, digest, sources, cache }: Part): Fetch | undefined =>
  cache?.state === 'fetching' && digest !== null
    ? { service, repository, digest, platforms: cache.platforms, sources: sources ?? [registrySource] }
    : undefined

export const isFetching = ({ parts }: DeploymentState): boolean =>
  parts.some(({ cache }) => cache?.state === 'fetching')

export const beginFetches = (step: Step, atMs: number): Step =>
  step.state.parts.reduce(
    (done, part) =>
      part.cache?.state === 'wanted'
        ? withPart(done, part, {
            cache: { ...part.cache, state: 'fetching', untilMs: atMs + fetchLimitMs }
          })
        : done,
    step
  )

export const recordFetched = (step: Step, service: Part['service'], artifact: Stored): Step => {
  const part = findFetching(step.state, service)
  if (part === undefined) return step
  const { cache, sources } = part
  return withPart(step, part, {
    cache: { ...cache, state: 'fetched' },
    sources: artifactFirst(sources),
    artifact
  })
}

export const recordNotFetched = (step: Step, service: Part['service'], detail: string): Step => {
  const part = findFetching(step.state, service)
  if (part === undefined) return step
  const failed = withPart(step, part, { cache: { ...part.cache, state: 'failed' } })
  const warning = `the controller could not fetch the image of ${service}, hosts use their own sources: ${detail}`
  return withState(failed, { warnings: [...failed.state.warnings, warning] })
}

/** Those whose time is over. */
export const recordSlowFetches = (step: Step, atMs: number): Step =>
  step.state.parts.reduce((done, { service, cache }) => {
    const isOver = cache?.state === 'fetching' && cache.untilMs !== null && cache.untilMs <= atMs
    return isOver ? recordNotFetched(done, service, `it took longer than ${fetchLimitMs / 60_000} min`) : done
  }, step)

export const moveFetches = (parts: Part[], move: (untilMs: number) => number): Part[] =>
  parts.map((part) =>
    part.cache?.state === 'fetching' && part.cache.untilMs !== null
      ? { ...part, cache: { ...part.cache, untilMs: move(part.cache.untilMs) } }
      : part
  )

type Fetching = Part & { cache: NonNullable<Part['cache']> }

const findFetching = ({ phase, parts }: DeploymentState, service: Part['service']): Fetching | undefined =>
  phase === 'requested' ? parts.find((part): part is Fetching => isWaiting(part, service)) : undefined

const isWaiting = ({ cache, ...part }: Part, service: Part['service']): boolean =>
  part.service === service && cache?.state === 'fetching'
