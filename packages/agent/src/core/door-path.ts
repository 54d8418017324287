// What an engine may ask at the agent's door to the controller's images, and what the controller is asked for it. The
// door's key is a part of the name that only the engine was told: nothing else on the host can use it.
// Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
import { splitRepository } from '@longshore/protocol'

/** Begins every key, so that names which a killed agent left behind are recognised. */
const keyPrefix = 'longshore-'

export const doorKey = (random: Uint8Array): string =>
  keyPrefix + Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** `127.0.0.1:PORT/KEY/NAME`: by which the engine pulls. */
export const doorRepository = (port: number, key: string, name: string): string =>
  `127.0.0.1:${String(port)}/${key}/${name}`

/** @param name of an image, with its tag or digest */
export const isDoorName = (name: string): boolean => {
  const { registry, path } = splitRepository(name)
  return registry?.startsWith('127.0.0.1:') === true && path.startsWith(keyPrefix)
}

const kept = /^(?:manifests|blobs)\/[A-Za-z0-9][A-Za-z0-9_.:-]{0,255}$/

/**
 * @param open names of repositories by the keys of open doors
 * @returns the path at the controller; undefined: it is not let through
 */
export const controllerPath = (
  method: string,
  path: string,
  open: ReadonlyMap<string, string>
): string | undefined => {
  if (method !== 'GET' && method !== 'HEAD') return undefined
  if (path === '/v2/' || path === '/v2') return '/v2/'
  for (const [key, name] of open) {
    const before = `/v2/${key}/${name}/`
    const rest = path.startsWith(before) ? path.slice(before.length) : ''
    if (kept.test(rest)) return `/v2/${name}/${rest}`
  }
  return undefined
}
