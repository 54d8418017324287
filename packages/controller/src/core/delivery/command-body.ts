// What a command says: the machine's order, with image and spec of the release.
import {
  type Digest,
  type ImageContent,
  type ImageSource,
  isRegistryOnly,
  type ServiceSpec,
  type WrittenBody
} from '@longshore/protocol'
import type { Order } from '../deployment/events.ts'
import { artifactFirst, sourcesOnHosts } from '../requests/choose-sources.ts'
import { maxSpecBytes, specBytes } from './spec-size.ts'

type WrittenSpec = Extract<WrittenBody, { kind: 'stage' }>['spec']

export type ReleaseContent = {
  release: number
  repository: string
  tag: string | null
  digest: Digest | null
  /** undefined: it is gone; a service can leave its hosts without it. */
  spec: ServiceSpec | undefined
  replace: string | null
  sources?: ImageSource[]
  artifact?: { digest: Digest; contents: ImageContent[] } | null
  /** The controller is to fetch the image: a plan says where hosts will get it then. */
  cache?: object | null
  /** What the agent says that it can do; null, or absent: it is away, and is taken for one of today. */
  capabilities?: readonly string[] | null
}

/**
 * What is only the controller's business, and what has its default, is left out: an agent refuses a body with a key
 * that it does not know.
 * @throws TypeError for an order that needs digest or spec before it is known: the machine never gives one
 */
export const commandBody = (order: Order, given: ReleaseContent): WrittenBody => {
  const content = asUnderstood(given)
  const { release, replace, repository, tag } = content
  switch (order.kind) {
    case 'resolve': {
      const image = { repository, tag, digest: null }
      return { kind: 'resolve', image, ...sourcesOf(sourcesOnHosts(content.sources ?? [])) }
    }
    case 'stage': {
      const stage = { kind: order.kind, release, image: pinned(content), spec: specOf(content), replace }
      return { ...stage, ...sourcesOf(content.sources ?? []), ...contentsOf(content) }
    }
    case 'rehearse':
      return { kind: order.kind, release, image: pinned(content), spec: specOf(content), replace }
    case 'release': {
      const { kind, recreate, canaryMaxErrorRatio: ratio } = order
      const body = { kind, release, image: pinned(content), spec: specOf(content), replace, recreate }
      return { ...body, ...(ratio !== undefined && { canaryMaxErrorRatio: ratio }) }
    }
    case 'plan': {
      const { kind, recreate } = order
      const body = { kind, release, image: pinned(content), spec: specOf(content), replace, recreate }
      return {
        ...body,
        ...sourcesOf(content.cache == null ? (content.sources ?? []) : artifactFirst(content.sources))
      }
    }
    case 'run-once': {
      const { kind, command } = order
      return { kind, release, image: pinned(content), spec: specOf(content), command }
    }
    case 'remove': {
      const { kind, containers } = order
      return { kind, release: order.release, ...(containers !== null && { containers }) }
    }
    case 'upgrade':
      return { kind: order.kind, release, image: pinned(content), ...sourcesOf(content.sources ?? []) }
    case 'revert':
    case 'settle':
      return order
    default:
      return order satisfies never
  }
}

/** An agent that knows of no sources goes to the registry, where that is one of them; else it is told that it is too old. */
const asUnderstood = (content: ReleaseContent): ReleaseContent => {
  const { sources, capabilities } = content
  const isOld = capabilities != null && !capabilities.includes('sources')
  const { sources: _, ...plain } = content
  return isOld && sources?.some(({ kind }) => kind === 'registry') ? plain : content
}

const specOf = ({ spec }: ReleaseContent): WrittenSpec => {
  if (spec === undefined) throw new TypeError('a release without its spec is never sent')
  const { releaseCommand: _releaseCommand, sources: _sources, cache: _cache, update, routing, ...rest } = spec
  const { canary: _canary, canaryMaxErrorRatio: _canaryMaxErrorRatio, ...pace } = update
  return { ...rest, ...((routing ?? null) !== null && { routing }), update: pace }
}

/** The registry alone is what every agent means without being told, those too that know of no other source. */
const sourcesOf = (sources: ImageSource[]): { sources?: ImageSource[] } =>
  sources.length === 0 || isRegistryOnly(sources) ? {} : { sources }

/** Only beside sources, of the very image, and where a large spec leaves room: it helps, and nothing rests on it. */
const contentsOf = ({ sources, artifact, digest, spec }: ReleaseContent): { contents?: ImageContent[] } => {
  if (sources === undefined || isRegistryOnly(sources)) return {}
  if (artifact == null || artifact.digest !== digest || spec === undefined) return {}
  const { contents } = artifact
  return specBytes(spec) + JSON.stringify(contents).length > maxSpecBytes ? {} : { contents }
}

const pinned = ({ repository, tag, digest }: ReleaseContent) => {
  if (digest === null) throw new TypeError('an image without a digest is never sent')
  return { repository, tag, digest }
}
