// What the controller's own image store has of the images that a request names. Asked before the transaction that takes
// the request: the store may be slow, and may read the database itself. What is wrong with a request is said later.
import { ApiError } from '../api/errors.ts'
import type { DeployRequest } from '../api/schemas.ts'
import { wishesOf } from '../core/requests/wishes.ts'
import type { Artifacts, FoundArtifact, Reads } from '../ports.ts'
import { type Asked, describeWanted } from './describe-wanted.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'

/** By service; one that is missing is not in the store. */
export type KnownArtifacts = ReadonlyMap<string, FoundArtifact>

export const findArtifacts = async (
  reads: Reads,
  artifacts: Artifacts,
  request: DeployRequest
): Promise<KnownArtifacts> => {
  const known = new Map<string, FoundArtifact>()
  if (request.mode === 'remove') return known
  for (const wish of wishesOf(request)) {
    const found = await findOne(reads, artifacts, { ...wish, environment: request.environment })
    if (found !== undefined) known.set(wish.service, found)
  }
  return known
}

const findOne = async (
  reads: Reads,
  artifacts: Artifacts,
  asked: Asked
): Promise<FoundArtifact | undefined> => {
  try {
    const { name } = await requireEnvironment(reads, asked.environment)
    const { spec } = await requireSpec(reads, asked)
    const current = await reads.currentRelease(name, asked.service)
    const { repository, digest, tag } = await describeWanted(reads, asked, { current, nextRelease: 1 })
    const reference = digest ?? tag
    if (reference === null) return undefined
    return await artifacts.findArtifact(repository ?? spec.image.repository, reference)
  } catch (error) {
    if (error instanceof ApiError) return undefined
    throw error
  }
}
