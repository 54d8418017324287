// What the image store needs from the outside, as types: rows for what refers to what, blobs for content. Part of
// ports.ts, which is long enough.
import type { Readable, Writable } from 'node:stream'
import type { Digest } from '@longshore/protocol'
import type { ByteRange } from './core/images/ranges.ts'
import type { Login } from './ports.ts'

/** A manifest in a repository, byte for byte as it was pushed. */
export type ImageManifestRow = {
  repository: string
  digest: Digest
  mediaType: string
  content: string
  sizeBytes: number
  /** When it was pushed last. */
  createdAtMs: number
}
/** A manifest refers to a blob, or an index to a manifest of the same repository. */
export type ImageLinkRow = { repository: string; manifest: Digest; child: Digest; kind: 'blob' | 'manifest' }
export type ImageTagRow = { repository: string; tag: string; digest: Digest; pushedAtMs: number }

export type ImageReads = {
  imageManifest(repository: string, digest: string): Promise<ImageManifestRow | undefined>
  /** All of them, without their content. */
  imageManifests(): Promise<Omit<ImageManifestRow, 'content'>[]>
  imageTag(repository: string, tag: string): Promise<ImageTagRow | undefined>
  /** In the order of their names, from the one after `after` on; without a repository all of them. */
  imageTags(filter: { repository?: string; after?: string; limit?: number }): Promise<ImageTagRow[]>
  imageLinks(kind: ImageLinkRow['kind']): Promise<ImageLinkRow[]>
}
export type ImageWrites = {
  /** With everything that it refers to. */
  putImageManifest(row: ImageManifestRow, links: readonly ImageLinkRow[]): Promise<void>
  /** With its tags. */
  deleteImageManifest(repository: string, digest: string): Promise<void>
  putImageTag(row: ImageTagRow): Promise<void>
  deleteImageTag(repository: string, tag: string): Promise<void>
}

export type OpenBlob = {
  sizeBytes: number
  /**
   * To be called once; closes the blob at the end. Fails in the middle rather than to end with wrong content.
   * @param range null: all of it
   * @throws ImageError `STORE_UNAVAILABLE`, `STORE_CORRUPT`
   */
  stream(range: ByteRange | null): Promise<Readable>
  /** Instead of `stream`, where the store has a quicker way: into an answer, which it ends. Rejects when that breaks off. */
  pour?(into: Writable, range: ByteRange | null): Promise<void>
  /** Instead of both. */
  close(): Promise<void>
}
/** A manifest as content. */
export type StoredManifest = Pick<ImageManifestRow, 'digest' | 'mediaType' | 'content'>
/**
 * Content by its digest, whole and right or not at all: in files, or in a registry. What refers to what is in the
 * database, manifests too; a registry has them as well, or it would throw away their blobs.
 * Every function rejects with ImageError `STORE_UNAVAILABLE` when the registry does not do its part.
 */
export type Blobs = {
  /** Whoever asks may rely on the answer for a while: the blob is not removed as unused meanwhile. */
  sizeOf(digest: Digest): Promise<number | undefined>
  open(digest: Digest): Promise<OpenBlob | undefined>
  /** undefined: not stored, or larger than `maxBytes`. @throws ImageError `STORE_CORRUPT` */
  read(digest: Digest, maxBytes: number): Promise<Buffer | undefined>
  /** Asked before a client sends what could not be stored in the end. */
  demandReady(): Promise<void>
  /**
   * A file whose content has this digest becomes the blob; it may be gone afterwards, and stays after a failure.
   * @throws what the disk does
   */
  take(digest: Digest, file: { path: string; sizeBytes: number }): Promise<void>
  /** Before the database has it, and once its blobs are here. @throws ImageError `MANIFEST_BLOB_UNKNOWN`, `MANIFEST_INVALID` */
  takeManifest(manifest: StoredManifest): Promise<void>
  /** What this installation has stored and might remove: content that nobody has written or asked for since. */
  unusedSince(beforeMs: number): Promise<Digest[]>
  /** @returns whether it is gone; false as well when somebody asked for it since */
  removeUnused(digest: Digest, beforeMs: number): Promise<boolean>
}
/** Blobs on their way in. An upload lives until it is finished, cancelled or has been left alone for too long. */
export type Uploads = {
  /** @throws ImageError `STORAGE_FULL`, `STORE_UNAVAILABLE` */
  begin(): Promise<string>
  /** Bytes that have arrived. @throws ImageError `BLOB_UPLOAD_UNKNOWN` */
  sizeOf(upload: string): Promise<number>
  /**
   * Adds a piece; what came before a failure stays. A later piece ends an earlier one that hangs.
   * @param offset where the piece begins; null: behind what is there
   * @returns the size now
   * @throws ImageError `BLOB_UPLOAD_UNKNOWN`, `RANGE_INVALID`, `STORAGE_FULL`
   */
  append(upload: string, piece: AsyncIterable<Uint8Array>, offset: number | null): Promise<number>
  /**
   * The upload becomes a blob, or is gone; it stays when the store behind cannot take it now. Told again it is no failure.
   * @throws ImageError `BLOB_UPLOAD_UNKNOWN`, `DIGEST_INVALID`, `STORE_UNAVAILABLE`
   */
  finish(upload: string, digest: Digest): Promise<void>
  /** @throws ImageError `BLOB_UPLOAD_UNKNOWN` */
  cancel(upload: string): Promise<void>
  /** @returns how many were left alone since then, and are gone */
  expire(beforeMs: number): Promise<number>
}

/** Other registries, to fetch images from. Every function rejects with UpstreamError. */
export type Upstream = {
  /**
   * @param repository as users write it: `nginx`, `registry.example.com:5000/team/api`
   * @param login null: nobody's name is given
   */
  manifest(
    repository: string,
    digest: Digest,
    login: Login | null
  ): Promise<{ mediaType: string; content: Uint8Array }>
  /** Fails as well when the stream breaks off or nothing arrives for a while. */
  blob(repository: string, digest: Digest, login: Login | null): Promise<AsyncIterable<Uint8Array>>
}
