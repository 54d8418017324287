// Whether the controller fetches the image of a service for its hosts: for which platforms, and from where, in order.
import { type Facts, type ImageSource, mirrorRepository, type ServiceSpec } from '@longshore/protocol'

/** As the kernel names what images name otherwise; hosts of any other kind have all platforms fetched. */
const architectures: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['aarch64', 'arm64'],
  ['arm64', 'arm64'],
  ['riscv64', 'riscv64'],
  ['ppc64le', 'ppc64le'],
  ['s390x', 's390x']
])

/**
 * @param hosts that the deployment goes to
 * @returns null: each host sees for itself
 */
export const chooseCache = (
  { cache, pullPolicy, platform }: Pick<ServiceSpec, 'cache' | 'pullPolicy' | 'platform'>,
  hosts: readonly { facts: Pick<Facts, 'architecture'> | null }[]
): { platforms: string[] | null } | null => {
  if (cache !== true || pullPolicy === 'never') return null
  return { platforms: (platform ?? null) === null ? platformsOf(hosts) : [platform as string] }
}

const platformsOf = (hosts: readonly { facts: Pick<Facts, 'architecture'> | null }[]): string[] | null => {
  const found = new Set(hosts.map(({ facts }) => architectures.get(facts?.architecture ?? '')))
  if (found.has(undefined)) return null
  return [...found].map((architecture) => `linux/${architecture}`).sort()
}

/** Under which names the registries among the sources have the image. */
export const placesOf = (repository: string, sources: readonly ImageSource[]): string[] =>
  sources.flatMap((source) => {
    switch (source.kind) {
      case 'registry':
        return [repository]
      case 'mirror':
        return [mirrorRepository(repository, source.at)]
      case 'artifact':
        return []
      default:
        return source satisfies never
    }
  })
