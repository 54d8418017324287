// Between the two ends of a create request: what a run asks for (a spec and an image by content) and what Docker's
// builder gives. What the host's engine cannot do becomes an error here, before anything is touched.
import type { ServiceSpec } from '@longshore/protocol'
import { buildCreateRequest } from './create-request.ts'
import type { ContainerRequest } from './observation.ts'

/** The spec asks for what this engine's API does not have. */
export class SpecUnsupported extends Error {
  override readonly name = 'SpecUnsupported'
  readonly code = 'spec-unsupported'

  constructor(reasons: readonly string[]) {
    super(`this host's engine cannot do what the service asks: ${reasons.join('; ')}`)
  }
}

/** Minor versions of the Engine API, 1.41 to 1.47, whose requests are known here. */
const oldestMinor = 41
const newestMinor = 47

/** @param apiVersion as the engine gives it, `1.43`; null: it has not answered yet, so the oldest is assumed */
export const apiMinorOf = (apiVersion: string | null): number => {
  const minor = Number(/^1\.(\d{1,3})$/.exec(apiVersion ?? '')?.[1] ?? oldestMinor)
  return Math.min(newestMinor, Math.max(oldestMinor, minor))
}

/**
 * @param input.image `repository@sha256:...`, or the engine's own id of what it stands for
 * @throws SpecUnsupported
 */
export const expressRequest = (
  input: {
    spec: ServiceSpec
    image: string
    name: string
    labels: Record<string, string>
    ownNetwork?: { name: string; ipv4Address: string }
  },
  apiMinor: number
): ContainerRequest => {
  const built = buildCreateRequest({ ...input, apiMinor })
  if (built.unsupported.length > 0) throw new SpecUnsupported(built.unsupported)
  return {
    platform: built.platform,
    body: { ...built.body },
    joins: built.furtherNetworks.map(({ name, endpoint }) => ({ network: name, endpoint: { ...endpoint } }))
  }
}
