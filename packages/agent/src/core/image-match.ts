// Is what a host has the image that a release pins? By RepoDigests; or, from a source that stores the same image under
// another manifest, by config and layers. `Id` is the config digest on the classic store and the manifest digest on the
// containerd store, which shows no config: there only the digest counts.
import type { Digest, ImageContent, PinnedImage, StagedImage } from '@longshore/protocol'
import { digest } from '@longshore/protocol'

/** The fields of `GET /images/NAME/json` that matter here. */
export type SeenImage = {
  id: string
  repoTags: string[]
  repoDigests: string[]
  os: string
  architecture: string
  variant: string
  diffIds: string[]
  sizeBytes: number
}

/** `repository@sha256:...`: what is pulled, inspected and given to create. */
export const pinnedReference = (image: Pick<PinnedImage, 'repository' | 'digest'>): string =>
  `${image.repository}@${image.digest}`

/** Whether inspect shows the pinned digest; the repository part may be spelled as Docker normalises it. */
export const hasDigest = (image: SeenImage, wanted: Digest): boolean =>
  image.repoDigests.some((one) => one.endsWith(`@${wanted}`)) || image.id === wanted

/** Whether it is the image, by its digest or by all that it is made of. */
export const isSameImage = (
  image: SeenImage,
  wanted: { digest: Digest; contents: readonly ImageContent[] }
): boolean =>
  hasDigest(image, wanted.digest) ||
  wanted.contents.some(({ config, diffIds }) => image.id === config && isSameList(image.diffIds, diffIds))

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, at) => one === b[at])

/** @returns what a host reports of an image it staged */
export const describeStaged = (image: SeenImage, wanted: Digest): StagedImage => ({
  digest: wanted,
  platform: [image.os, image.architecture, image.variant]
    .filter((part) => part !== '')
    .join('/')
    .slice(0, 64),
  diffIds: image.diffIds
    .slice(0, 200)
    .flatMap((one) => (digest.safeParse(one).success ? [digest.parse(one)] : [])),
  sizeBytes: image.sizeBytes
})

/** Whether the image fits the platform that the spec asks for (`linux/arm64/v8`; variants only if both say one). */
export const isPlatform = (image: SeenImage, wanted: string | null): boolean => {
  if (wanted === null) return true
  const [os, architecture, variant] = wanted.split('/')
  if (architecture === undefined) return image.architecture === os || image.os === os
  if (image.os !== os || image.architecture !== architecture) return false
  return variant === undefined || image.variant === '' || image.variant === variant
}

/** Repository and tag of ours that keep an image of a kept release from `docker image prune`. */
export const ownTag = (service: string, environment: string, release: number) => ({
  repository: `longshore/${repositoryPart(service)}`,
  tag: `${environment}-r${release}`
})

/** Release number in a tag of ours, or null when it is another environment's. */
export const releaseOfTag = (tag: string, environment: string): number | null => {
  const rest = tag.startsWith(`${environment}-r`) ? tag.slice(environment.length + 2) : ''
  return /^[1-9]\d{0,9}$/.test(rest) ? Number(rest) : null
}

/**
 * Repository names allow one or two underscores or any number of hyphens in a row, or one dot; service names mix the first
 * two as they like and have no dots: a run that is not allowed is spelled between two of them, so that no two services
 * share a repository.
 */
const repositoryPart = (service: string): string =>
  service.replace(/[_-]{2,}/g, (run) =>
    /^(?:-+|__)$/.test(run) ? run : `.${run.replaceAll('-', 'h').replaceAll('_', 'u')}.`
  )
