// What another registry says that a digest names: a manifest as it is read, checked against its digest.
import { createHash } from 'node:crypto'
import type { Digest } from '@longshore/protocol'
import { type Manifest, readManifest } from '../core/images/read-manifest.ts'
import { UpstreamError } from '../core/images/upstream-error.ts'
import type { Upstream } from '../image-ports.ts'
import type { Login } from '../ports.ts'

export type AskedManifest = { mediaType: string; content: Uint8Array; manifest: Manifest }

/**
 * @param asked.from as users write it
 * @throws UpstreamError; ImageError `MANIFEST_INVALID`
 */
export const askManifest = async (
  upstream: Upstream,
  { from, digest, login }: { from: string; digest: Digest; login: Login | null }
): Promise<AskedManifest> => {
  const { mediaType, content } = await upstream.manifest(from, digest, login)
  const found = `sha256:${createHash('sha256').update(content).digest('hex')}`
  if (found !== digest) throw new UpstreamError('registry-corrupt', `the manifest ${digest} came as ${found}`)
  return { mediaType, content, manifest: readManifest(mediaType, Buffer.from(content).toString('utf8')) }
}

/** @param platforms `linux/arm64` or `linux/arm64/v8`; null: all */
export const childrenOf = (manifest: Manifest, platforms: readonly string[] | null): Digest[] =>
  manifest.kind === 'image'
    ? []
    : manifest.manifests
        .filter(({ platform }) => {
          if (platforms === null || platform === undefined) return true
          const name = `${platform.os}/${platform.architecture}`
          return platforms.some((one) => one === name || one === `${name}/${platform.variant ?? ''}`)
        })
        .map(({ digest }) => digest)
