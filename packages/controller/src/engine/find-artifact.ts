// Does the image store have this image, and what exactly is it? Answers what a deployment has to know to pin an image
// without asking any host: digest, platforms, and per platform what makes it the same image on every host.
import { artifactRepository, type Digest } from '@longshore/protocol'
import { readReference } from '../core/images/image-path.ts'
import { type Manifest, readImageConfig, readManifest } from '../core/images/read-manifest.ts'
import type { Blobs, ImageReads } from '../image-ports.ts'

export type Artifact = {
  /** The name here, by which hosts ask for it. */
  repository: string
  /** What the reference names: a manifest, or an index over several platforms. */
  digest: Digest
  mediaType: string
  /** One of an image, all of an index; attestations and other things that do not run are left out. */
  platforms: ArtifactPlatform[]
}
export type ArtifactPlatform = {
  /** `linux/arm64/v8`; the variant only when there is one. */
  platform: string
  /** Of the platform's manifest: `Artifact.digest` itself when that is no index. */
  digest: Digest
  /** The same config digest is the same image, whatever the manifest's digest is. */
  configDigest: Digest
  /** Of the uncompressed layers, lowest first. */
  diffIds: Digest[]
  /** Of the layers as they are stored here. */
  sizeBytes: number
}

/** A configuration lists environment, labels and history; a larger one is a mistake. */
const maxConfigBytes = 4 * 1024 * 1024

/**
 * @param repository as users write it: `api`, `registry.example.com/team/api`
 * @param tagOrDigest `1.2.3` or `sha256:...`
 * @returns undefined when it is not stored here
 * @throws ImageError when the reference is neither a tag nor a digest
 */
export const findArtifact = async (
  ports: { store: ImageReads; blobs: Pick<Blobs, 'read'> },
  repository: string,
  tagOrDigest: string
): Promise<Artifact | undefined> => {
  const { store } = ports
  const name = artifactRepository(repository)
  const reference = readReference(tagOrDigest)
  const found = reference.by === 'digest' ? reference : await store.imageTag(name, reference.tag)
  const row = found && (await store.imageManifest(name, found.digest))
  if (row === undefined) return undefined
  const manifest = readManifest(row.mediaType, row.content)
  const platforms: ArtifactPlatform[] = []
  for (const [digest, image] of await imagesOf(store, name, row.digest, manifest)) {
    const platform = await readPlatform(ports.blobs, digest, image)
    if (platform !== undefined) platforms.push(platform)
  }
  return { repository: name, digest: row.digest, mediaType: row.mediaType, platforms }
}

type Image = Extract<Manifest, { kind: 'image' }>

/** The image itself, or those that an index lists; an index within an index is not followed. */
const imagesOf = async (
  store: ImageReads,
  repository: string,
  digest: Digest,
  manifest: Manifest
): Promise<[Digest, Image][]> => {
  if (manifest.kind === 'image') return [[digest, manifest]]
  const images: [Digest, Image][] = []
  for (const one of manifest.manifests) {
    const row = await store.imageManifest(repository, one.digest)
    const image = row && readManifest(row.mediaType, row.content)
    if (image?.kind === 'image') images.push([one.digest, image])
  }
  return images
}

const readPlatform = async (
  blobs: Pick<Blobs, 'read'>,
  digest: Digest,
  { config, layers }: Image
): Promise<ArtifactPlatform | undefined> => {
  const content = await blobs.read(config.digest, maxConfigBytes)
  const read = content && readImageConfig(content.toString('utf8'))
  // an attestation has a configuration of the platform unknown/unknown
  if (read === undefined || read.os === 'unknown') return undefined
  return {
    platform: [read.os, read.architecture, read.variant].filter((part) => part !== '').join('/'),
    digest,
    configDigest: config.digest,
    diffIds: read.diffIds,
    sizeBytes: layers.reduce((sum, { size }) => sum + size, 0)
  }
}
