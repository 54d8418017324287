// Which images on a host are kept for releases, by our tags: for the inventory.
import {
  type EnvironmentName,
  type InventoryImage,
  limits,
  type ServiceName,
  digest as someDigest
} from '@longshore/protocol'
import { ownTag, releaseOfTag } from './image-match.ts'

/** A row of `GET /images/json`. */
export type ListedImage = { id: string; repoTags: string[]; repoDigests: string[]; sizeBytes: number }

/**
 * @param services those that commands have named: a tag alone does not tell its service
 * @param digestOf what was asked for when an image came under another name
 */
export const ownImages = (
  listed: readonly ListedImage[],
  services: readonly { environment: EnvironmentName; service: ServiceName }[],
  digestOf: (id: string) => string | undefined
): InventoryImage[] =>
  listed
    .flatMap((image) =>
      services.flatMap(({ environment, service }): InventoryImage[] => {
        const { repository } = ownTag(service, environment, 1)
        const releases = image.repoTags
          .flatMap((tag) =>
            tag.startsWith(`${repository}:`)
              ? (releaseOfTag(tag.slice(repository.length + 1), environment) ?? [])
              : []
          )
          .toSorted((a, b) => b - a)
          .slice(0, limits.maxImageReleases)
        if (releases.length === 0) return []
        const pulled = image.repoDigests.map((one) => one.slice(one.lastIndexOf('@') + 1))
        const digest = someDigest.safeParse(digestOf(image.id) ?? pulled[0])
        const { sizeBytes } = image
        return [{ environment, service, releases, digest: digest.data ?? null, sizeBytes }]
      })
    )
    .toSorted(newestFirst)
    .slice(0, limits.maxInventoryImages)

/** Within a service of an environment. */
const newestFirst = (a: InventoryImage, b: InventoryImage): number =>
  a.environment.localeCompare(b.environment) ||
  a.service.localeCompare(b.service) ||
  (b.releases[0] ?? 0) - (a.releases[0] ?? 0)
