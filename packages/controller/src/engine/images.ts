// The image store: manifests and tags go into the database once everything that they refer to is there. Who may do what
// is left to the routes, where content lies to the adapters, removing what nobody needs to collect-images.ts.
import { createHash } from 'node:crypto'
import { type Digest, digest } from '@longshore/protocol'
import { ImageError } from '../core/images/image-error.ts'
import type { ImageReference } from '../core/images/image-path.ts'
import { blobsOf, type Manifest, maxManifestBytes, readManifest } from '../core/images/read-manifest.ts'
import type { Blobs, ImageLinkRow, ImageManifestRow, ImageReads, Uploads } from '../image-ports.ts'
import type { Actor, Clock, Store } from '../ports.ts'
import { type Artifact, findArtifact } from './find-artifact.ts'
import type { Holds } from './hold-content.ts'
import type { Writer } from './writer.ts'

export type Images = {
  blobs: Pick<Blobs, 'sizeOf' | 'open'>
  uploads: Pick<Uploads, 'begin' | 'sizeOf' | 'append' | 'finish' | 'cancel'>
  /** @throws ImageError `NAME_UNKNOWN`, `MANIFEST_UNKNOWN` */
  manifest(repository: string, reference: ImageReference): Promise<ImageManifestRow>
  /** @throws ImageError `MANIFEST_INVALID`, `MANIFEST_BLOB_UNKNOWN`, `DIGEST_INVALID`, `SIZE_INVALID`, `STORE_UNAVAILABLE` */
  putManifest(actor: Actor, pushed: PushedManifest): Promise<Digest>
  /** By tag: only the tag goes. @throws ImageError `MANIFEST_UNKNOWN` */
  remove(actor: Actor, repository: string, reference: ImageReference): Promise<void>
  /** In order. @throws ImageError `NAME_UNKNOWN` */
  tags(repository: string, page: { after?: string; limit?: number }): Promise<string[]>
  /** For deployments, see find-artifact.ts. */
  find(repository: string, tagOrDigest: string): Promise<Artifact | undefined>
}
export type PushedManifest = {
  repository: string
  reference: ImageReference
  mediaType: string
  content: Uint8Array
  /** An index may name manifests that are not here: of platforms that nobody has. */
  isSparse?: boolean
}

export type ImagesPorts = {
  store: Store
  writer: Writer
  clock: Clock
  blobs: Blobs
  uploads: Uploads
  holds: Holds
}

export const createImages = (ports: ImagesPorts): Images => {
  const { store, writer, blobs, uploads } = ports
  return {
    blobs,
    uploads,
    manifest: (repository, reference) => findManifest(store, repository, reference),
    putManifest: (actor, pushed) => putManifest(ports, actor, pushed),
    remove: (actor, repository, reference) => {
      const subject = `${repository}${textOf(reference)}`
      return writer.change({ actor, action: 'image.remove', subject, request: {} }, async (tx) => {
        const { digest } = await findManifest(tx, repository, reference)
        if (reference.by === 'tag') await tx.deleteImageTag(repository, reference.tag)
        else await tx.deleteImageManifest(repository, digest)
      })
    },
    tags: async (repository, page) => {
      const rows = await store.imageTags({ repository, ...page })
      if (rows.length === 0 && (await store.imageTags({ repository, limit: 1 })).length === 0) {
        throw new ImageError('NAME_UNKNOWN', `no image of ${repository} is tagged here`)
      }
      return rows.map(({ tag }) => tag)
    },
    find: (repository, tagOrDigest) => findArtifact({ store, blobs }, repository, tagOrDigest)
  }
}

const textOf = (reference: ImageReference): string =>
  reference.by === 'tag' ? `:${reference.tag}` : `@${reference.digest}`

const findManifest = async (
  reads: ImageReads,
  repository: string,
  reference: ImageReference
): Promise<ImageManifestRow> => {
  const named = reference.by === 'digest' ? reference : await reads.imageTag(repository, reference.tag)
  const row = named && (await reads.imageManifest(repository, named.digest))
  if (row !== undefined) return row
  throw new ImageError('MANIFEST_UNKNOWN', `${repository}${textOf(reference)} is not stored here`)
}

const putManifest = async (ports: ImagesPorts, actor: Actor, pushed: PushedManifest): Promise<Digest> => {
  const { repository, reference } = pushed
  const { row, manifest } = readPushed(pushed, ports.clock.nowMs())
  const needed = manifest.kind === 'image' ? [...blobsOf(manifest).keys()] : []
  const subject = `${repository}${textOf(reference)}`
  const note = { actor, action: 'image.push', subject, request: { digest: row.digest } }
  const letGo = await ports.holds.hold([row.digest, ...needed])
  try {
    await storeContent(ports, pushed, { row, manifest })
    await ports.writer.change(note, async (tx) => {
      // once more: children may have gone meanwhile
      if (isWhole(pushed, manifest)) await demandChildren(tx, repository, manifest)
      await tx.putImageManifest(row, linksOf(repository, row.digest, manifest))
      if (reference.by === 'digest') return
      await tx.putImageTag({
        repository,
        tag: reference.tag,
        digest: row.digest,
        pushedAtMs: row.createdAtMs
      })
    })
    return row.digest
  } catch (error) {
    await ports.writer.refused(note, error)
    throw error
  } finally {
    letGo()
  }
}

const readPushed = (
  { repository, reference, mediaType, content: bytes }: PushedManifest,
  nowMs: number
): { row: ImageManifestRow; manifest: Manifest } => {
  if (bytes.length > maxManifestBytes) {
    throw new ImageError('SIZE_INVALID', `a manifest may have ${maxManifestBytes} bytes`)
  }
  const content = decode(bytes)
  const manifest = readManifest(mediaType, content)
  const found = digest.parse(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  if (reference.by === 'digest' && reference.digest !== found) {
    throw new ImageError('DIGEST_INVALID', `what was sent is ${found}, not ${reference.digest}`)
  }
  const sizeBytes = bytes.length
  return {
    manifest,
    row: { repository, digest: found, mediaType: manifest.mediaType, content, sizeBytes, createdAtMs: nowMs }
  }
}

const isWhole = ({ isSparse = false }: PushedManifest, { kind }: Manifest): boolean =>
  !isSparse || kind === 'image'

/** Before the change of the database: a registry may take its time, and deployments wait for the writer. */
const storeContent = async (
  { store, blobs }: ImagesPorts,
  pushed: PushedManifest,
  { row, manifest }: { row: ImageManifestRow; manifest: Manifest }
): Promise<void> => {
  // no registry takes an index that lacks some; the manifests that are here keep their blobs themselves
  if (!isWhole(pushed, manifest)) return
  if (manifest.kind === 'image') await demandBlobs(blobs, manifest)
  else await demandChildren(store, row.repository, manifest)
  await blobs.takeManifest(row)
}

/** The bytes are kept as text: what is not UTF-8 is no JSON either. */
const decode = (content: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content)
  } catch (cause) {
    throw new ImageError('MANIFEST_INVALID', 'it is not JSON in UTF-8', { cause })
  }
}

const demandChildren = async (reads: ImageReads, repository: string, manifest: Manifest): Promise<void> => {
  if (manifest.kind === 'image') return
  for (const { digest: child } of manifest.manifests) {
    if ((await reads.imageManifest(repository, child)) !== undefined) continue
    throw new ImageError('MANIFEST_BLOB_UNKNOWN', `the manifest ${child} is not stored in ${repository}`)
  }
}

const demandBlobs = async (blobs: Blobs, manifest: Extract<Manifest, { kind: 'image' }>): Promise<void> => {
  for (const [blob, sizeBytes] of blobsOf(manifest)) {
    const stored = await blobs.sizeOf(blob)
    if (stored === undefined) {
      throw new ImageError('MANIFEST_BLOB_UNKNOWN', `the blob ${blob} is not stored here`)
    }
    if (stored !== sizeBytes) {
      throw new ImageError('MANIFEST_INVALID', `the blob ${blob} has ${stored} bytes, not ${sizeBytes}`)
    }
  }
}

const linksOf = (repository: string, of: Digest, manifest: Manifest): ImageLinkRow[] =>
  manifest.kind === 'index'
    ? [...new Set(manifest.manifests.map((one) => one.digest))].map((child) => ({
        repository,
        manifest: of,
        child,
        kind: 'manifest'
      }))
    : [...blobsOf(manifest).keys()].map((child) => ({ repository, manifest: of, child, kind: 'blob' }))
