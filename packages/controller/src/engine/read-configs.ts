// Which configurations does an image have in its registry? They make an image the same one, whatever its manifest is, and
// manifests alone say it: nothing else is fetched. A registry that takes too long is left alone for a while.
import { type Digest, limits, registryOf } from '@longshore/protocol'
import { compareLimitMs } from '../core/deployment/compare-stored.ts'
import type { Upstream } from '../image-ports.ts'
import type { Artifacts, ArtifactWanted, Clock, Log } from '../ports.ts'
import { askManifest, childrenOf } from './ask-manifest.ts'
import type { RegistryCredentials } from './registry-credentials.ts'

/** Long enough that a controller behind a firewall does not hold up every deployment. */
const leftAloneMs = 10 * 60_000

type Ports = {
  upstream: Upstream
  logins: Pick<RegistryCredentials, 'forRepository'>
  /** Never jumps, whatever the time of day does. */
  steadyClock: Pick<Clock, 'nowMs'>
  log: Log
}

export const createConfigReader = (ports: Ports): Artifacts['configsOf'] => {
  const { logins, steadyClock, log } = ports
  /** By registry, as registry-name.ts has it. */
  const leftAloneUntil = new Map<string, number>()
  const readAt = async (from: string, wanted: ArtifactWanted): Promise<Digest[]> => {
    const startedAtMs = steadyClock.nowMs()
    try {
      return await readConfigs(ports, { ...wanted, from, login: await logins.forRepository(from) })
    } catch (error) {
      log.debug({ err: error, from }, 'a registry does not say what an image is made of')
      return []
    } finally {
      const nowMs = steadyClock.nowMs()
      if (nowMs - startedAtMs >= compareLimitMs) leftAloneUntil.set(registryOf(from), nowMs + leftAloneMs)
    }
  }
  return async (wanted) => {
    for (const from of wanted.places) {
      if ((leftAloneUntil.get(registryOf(from)) ?? 0) > steadyClock.nowMs()) continue
      const configs = await readAt(from, wanted)
      if (configs.length > 0) return configs
    }
    return []
  }
}

type At = Pick<ArtifactWanted, 'platforms'> & Parameters<typeof askManifest>[1]

const readConfigs = async ({ upstream }: Pick<Ports, 'upstream'>, at: At): Promise<Digest[]> => {
  const { manifest } = await askManifest(upstream, at)
  if (manifest.kind === 'image') return [manifest.config.digest]
  const children = childrenOf(manifest, at.platforms).slice(0, limits.maxImageContents)
  const asked = await Promise.all(children.map((digest) => askManifest(upstream, { ...at, digest })))
  return asked.flatMap((one) => (one.manifest.kind === 'image' ? [one.manifest.config.digest] : []))
}
