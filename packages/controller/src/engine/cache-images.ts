// Images of other registries, fetched once and kept in our own store, so that a hundred hosts cost their registry one
// pull. Always by digest, and stored like a push: what does not have its digest never gets in.
import { artifactRepository, type Digest } from '@longshore/protocol'
import { ImageError } from '../core/images/image-error.ts'
import { blobsOf } from '../core/images/read-manifest.ts'
import { UpstreamError } from '../core/images/upstream-error.ts'
import type { Upstream } from '../image-ports.ts'
import type { Actor, Login } from '../ports.ts'
import { askManifest, childrenOf } from './ask-manifest.ts'
import type { Artifact } from './find-artifact.ts'
import type { Images } from './images.ts'

export type WantedImage = {
  /** As users write it. */
  repository: string
  /** Under which name it is asked for, of a mirror; absent: its own. */
  from?: string
  /** Of a manifest or an index, which a host resolved. */
  digest: Digest
  /** `linux/amd64`: of an index only these are fetched; null: all. */
  platforms: readonly string[] | null
  login: Login | null
}
export type ImageCache = {
  /**
   * The image is in our store when it resolves. Whoever asks for the same one meanwhile waits for the same fetch.
   * @throws UpstreamError; ImageError `STORAGE_FULL`
   */
  ensure(wanted: WantedImage): Promise<Artifact>
}

const actor: Actor = { kind: 'controller', id: 'image-cache', name: 'image cache', address: 'local' }

export const createImageCache = (ports: { images: Images; upstream: Upstream }): ImageCache => {
  const running = new Map<string, Promise<Artifact>>()
  return {
    ensure: (wanted) => {
      const { repository, from = repository, digest, platforms } = wanted
      const key = `${artifactRepository(repository)}@${digest} ${from} ${platforms?.join() ?? '*'}`
      const fetching = running.get(key) ?? fetchImage(ports, wanted).finally(() => running.delete(key))
      running.set(key, fetching)
      return fetching
    }
  }
}

type Ports = { images: Images; upstream: Upstream }

const fetchImage = async (ports: Ports, wanted: WantedImage): Promise<Artifact> => {
  const { repository, digest, platforms } = wanted
  const known = await ports.images.find(repository, digest)
  const has = (platform: string) =>
    known?.platforms.some((one) => `${one.platform}/`.startsWith(`${platform}/`))
  if (known !== undefined && (platforms ?? []).every(has)) return known
  await fetchManifest(ports, wanted)
  const stored = await ports.images.find(repository, digest)
  if (stored !== undefined) return stored
  throw new UpstreamError('registry-corrupt', `${repository}@${digest} is no image`)
}

/** A manifest comes after all that it refers to, as in a push. */
const fetchManifest = async (ports: Ports, wanted: WantedImage): Promise<void> => {
  const { repository, from = repository, digest, platforms, login } = wanted
  const { mediaType, content, manifest } = await askManifest(ports.upstream, { from, digest, login })
  for (const child of childrenOf(manifest, platforms)) {
    await fetchManifest(ports, { ...wanted, digest: child })
  }
  if (manifest.kind === 'image') {
    for (const blob of blobsOf(manifest).keys()) await fetchBlob(ports, wanted, blob)
  }
  await ports.images.putManifest(actor, {
    repository: artifactRepository(repository),
    reference: { by: 'digest', digest },
    mediaType,
    content,
    isSparse: platforms !== null
  })
}

const fetchBlob = async ({ images, upstream }: Ports, wanted: WantedImage, blob: Digest): Promise<void> => {
  if ((await images.blobs.sizeOf(blob)) !== undefined) return
  const content = await upstream.blob(wanted.from ?? wanted.repository, blob, wanted.login)
  const upload = await images.uploads.begin()
  try {
    await images.uploads.append(upload, content, null)
    await images.uploads.finish(upload, blob)
  } catch (cause) {
    if (cause instanceof ImageError && cause.code === 'DIGEST_INVALID')
      throw new UpstreamError('registry-corrupt', cause.message, { cause })
    await images.uploads.cancel(upload).catch(() => {})
    throw cause
  }
}
