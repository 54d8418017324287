// What does a path below /v2/ ask for? Repository names have several parts, so that the end of the path decides.
// Grammar: OCI Distribution Specification 1.1, "Endpoints". Methods are left to the routes.
import { artifactRepository, type Digest, digest } from '@longshore/protocol'
import { ImageError } from './image-error.ts'

/** A manifest, by its tag or by its digest. */
export type ImageReference = { by: 'tag'; tag: string } | { by: 'digest'; digest: Digest }
export type ImagePath =
  | { kind: 'blob'; repository: string; digest: Digest }
  | { kind: 'uploads'; repository: string }
  | { kind: 'upload'; repository: string; upload: string }
  | { kind: 'manifest'; repository: string; reference: ImageReference }
  | { kind: 'tags'; repository: string }

const part = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const namePattern = new RegExp(`^${part}(?:/${part})*$`)
/** A host name and Docker's own limit of a path. */
const maxNameChars = 512
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/**
 * @param path what follows `/v2/`, decoded
 * @throws ImageError `NAME_INVALID`, `DIGEST_INVALID`, `MANIFEST_INVALID`, `MANIFEST_UNKNOWN`, `UNSUPPORTED`
 */
export const readImagePath = (path: string): ImagePath => {
  const [, name = '', what = '', last = ''] =
    /^(.+)\/(blobs\/uploads|blobs|manifests|tags)(?:\/([^/]*))?$/.exec(path) ?? []
  // clients look for tags instead after a 404 that is not about the repository's name, and give up after others
  if (/.\/referrers\/[^/]+$/.test(path))
    throw new ImageError('MANIFEST_UNKNOWN', 'no lists of referrers are kept here, they have tags')
  if (name === '') throw new ImageError('UNSUPPORTED', 'there is nothing at this address')
  const repository = readRepository(name)
  if (what === 'tags' && last === 'list') return { kind: 'tags', repository }
  if (what === 'manifests') return { kind: 'manifest', repository, reference: readReference(last) }
  if (what === 'blobs/uploads') {
    return last === '' ? { kind: 'uploads', repository } : { kind: 'upload', repository, upload: last }
  }
  if (what === 'blobs') return { kind: 'blob', repository, digest: readDigest(last) }
  throw new ImageError('UNSUPPORTED', 'there is nothing at this address')
}

/** The one name of a repository here, however it is spelled. @throws ImageError `NAME_INVALID` */
export const readRepository = (name: string): string => {
  if (name.length > maxNameChars || !namePattern.test(name)) throw new ImageError('NAME_INVALID')
  return artifactRepository(name)
}

/** @throws ImageError `DIGEST_INVALID` */
export const readDigest = (text: string): Digest => {
  const read = digest.safeParse(text)
  if (read.success) return read.data
  throw new ImageError('DIGEST_INVALID', 'a digest is sha256: and 64 hexadecimal digits')
}

/** @throws ImageError `DIGEST_INVALID`, `MANIFEST_INVALID` */
export const readReference = (text: string): ImageReference => {
  if (text.includes(':')) return { by: 'digest', digest: readDigest(text) }
  if (tagPattern.test(text)) return { by: 'tag', tag: text }
  throw new ImageError('MANIFEST_INVALID', 'the tag has characters that are not allowed in a tag')
}
