// What the controller's own image store has of the images that a request names. Asked before the transaction that takes
// the request: the store may be slow, and may read the database itself. What is wrong with a request is said later.
import type { Digest, ImageContent } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployRequest } from '../api/schemas.ts'
import type { Stored } from '../core/deployment/state.ts'
import { wishesOf } from '../core/requests/wishes.ts'
import type { Artifacts, Reads, ReleaseRow } from '../ports.ts'
import { type Asked, describeWanted } from './describe-wanted.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'
import { stateOf } from './view-deployment.ts'

/** By service; one that is missing is not in the store. */
export type KnownArtifacts = ReadonlyMap<string, Stored>

export const findArtifacts = async (
  reads: Reads,
  artifacts: Artifacts,
  request: DeployRequest
): Promise<KnownArtifacts> => {
  const known = new Map<string, Stored>()
  if (request.mode === 'remove') return known
  const { upgrade, what, service } = request
  if (upgrade !== undefined) {
    const reference = what.by === 'tag' ? what.tag : what.by === 'digest' ? what.digest : null
    const found = reference === null ? undefined : await artifacts.findArtifact(upgrade.repository, reference)
    return found === undefined ? known : known.set(service, found)
  }
  for (const wish of wishesOf(request)) {
    const found = await findOne(reads, artifacts, { ...wish, environment: request.environment })
    if (found !== undefined) known.set(wish.service, found)
  }
  return known
}

const findOne = async (reads: Reads, artifacts: Artifacts, asked: Asked): Promise<Stored | undefined> => {
  try {
    const { name: environment } = await requireEnvironment(reads, asked.environment)
    const { spec } = await requireSpec(reads, asked)
    const current = await reads.currentRelease(environment, asked.service)
    const { repository, digest, tag } = await describeWanted(reads, asked, { current, nextRelease: 1 })
    const reference = digest ?? tag
    if (reference === null) return undefined
    const name = repository ?? spec.image.repository
    const found = await artifacts.findArtifact(name, reference)
    if (found !== undefined) return found
    if (digest !== null) return await findSame(reads, artifacts, asked, { repository: name, tag, digest })
    return spec.cache === true
      ? await findFormer(reads, artifacts, asked, { repository: name, tag: reference })
      : undefined
  } catch (error) {
    if (error instanceof ApiError) return undefined
    throw error
  }
}

/** What the controller fetches has no tag of its own, since tags move: a release knows what its tag meant then. */
const findFormer = async (
  reads: Reads,
  artifacts: Artifacts,
  { environment, service }: Asked,
  wanted: { repository: string; tag: string }
): Promise<Stored | undefined> => {
  const releases = await reads.releases({ environment, service, limit: 100 })
  const former = releases.find(
    ({ tag, repository }) => tag === wanted.tag && repository === wanted.repository
  )
  const found = former?.digest && (await artifacts.findArtifact(wanted.repository, former.digest))
  return found ? { ...found, isFormer: true } : undefined
}

/**
 * Under another digest: what the deployment that brought the release found out about it holds for ever, as long as the
 * store still has the image under the tag.
 */
const findSame = async (
  reads: Reads,
  artifacts: Artifacts,
  { environment, service, what }: Asked,
  { repository, tag, digest }: { repository: string; tag: string | null; digest: Digest }
): Promise<Stored | undefined> => {
  if (tag === null) return undefined
  const stored = await artifacts.findArtifact(repository, tag)
  if (stored === undefined) return undefined
  const from = what.by === 'promote' ? what.from : environment
  for (const release of await reads.releases({ environment: from, service, limit: 100 })) {
    if (release.digest !== digest || release.repository !== repository) continue
    const contents = await knownContents(reads, release)
    const same = contents.filter(({ config }) => stored.contents.some((one) => one.config === config))
    if (same.length > 0) return { digest, contents: same }
  }
  return undefined
}

const knownContents = async (
  reads: Reads,
  { deployment, service, digest }: ReleaseRow
): Promise<ImageContent[]> => {
  const row = await reads.deployment(deployment)
  const part = row && stateOf(row).parts.find((one) => one.service === service)
  return part?.artifact?.digest === digest ? part.artifact.contents : []
}
