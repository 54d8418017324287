// What does a manifest refer to? Docker's schema 2 and the OCI image specification, which are the same in what counts
// here: https://github.com/opencontainers/image-spec (manifest, image index). Whether the content is there is left to
// the engine.
import { type Digest, digest } from '@longshore/protocol'
import * as z from 'zod'
import { ImageError } from './image-error.ts'

/** As large as other registries take them. */
export const maxManifestBytes = 4 * 1024 * 1024

const descriptor = z.object({
  mediaType: z.string().max(255),
  digest,
  size: z.int().min(0),
  urls: z.array(z.string()).optional(),
  platform: z
    .object({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
    .optional()
    .catch(undefined)
})
type Descriptor = z.infer<typeof descriptor>

const imageManifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor).max(1000)
})
const imageIndex = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptor).max(1000)
})
/** What the configuration of an image says, as far as it matters here. */
const imageConfig = z.object({
  os: z.string(),
  architecture: z.string(),
  variant: z.string().optional(),
  rootfs: z.object({ diff_ids: z.array(digest).max(1000) })
})

const manifestTypes: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json'
]
const indexTypes: readonly string[] = [
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json'
]

/** What is asked for, as `Accept`: without it old registries make up manifests of schema 1. */
export const acceptedManifests = [...indexTypes, ...manifestTypes].join(', ')

export type Manifest =
  | { kind: 'image'; mediaType: string; config: Descriptor; layers: Descriptor[] }
  | { kind: 'index'; mediaType: string; manifests: Descriptor[] }

/**
 * @param contentType as sent; parameters are left out
 * @throws ImageError `MANIFEST_INVALID`
 */
export const readManifest = (contentType: string, content: string): Manifest => {
  const [mediaType = ''] = contentType.split(';', 1).map((text) => text.trim().toLowerCase())
  const read = (schema: z.ZodType<{ mediaType?: string | undefined }>) => schema.safeParse(parseJson(content))
  if (manifestTypes.includes(mediaType)) {
    const { config, layers } = demand(mediaType, read(imageManifest)) as z.infer<typeof imageManifest>
    return { kind: 'image', mediaType, config, layers }
  }
  if (indexTypes.includes(mediaType)) {
    const { manifests } = demand(mediaType, read(imageIndex)) as z.infer<typeof imageIndex>
    return { kind: 'index', mediaType, manifests }
  }
  throw new ImageError('MANIFEST_INVALID', `manifests of type ${mediaType || '(none)'} are not taken`)
}

const demand = <T extends { mediaType?: string | undefined }>(
  mediaType: string,
  read: z.ZodSafeParseResult<T>
): T => {
  if (!read.success) {
    const [first] = read.error.issues
    throw new ImageError('MANIFEST_INVALID', `at ${first?.path.join('.') || 'the top'}: ${first?.message}`)
  }
  if (read.data.mediaType === undefined || read.data.mediaType === mediaType) return read.data
  throw new ImageError(
    'MANIFEST_INVALID',
    `it calls itself ${read.data.mediaType}, it was sent as ${mediaType}`
  )
}

/** Layers that may lie elsewhere for legal reasons: nobody pushes them. */
const isElsewhere = ({ mediaType, urls = [] }: Descriptor): boolean =>
  urls.length > 0 && /foreign|nondistributable/.test(mediaType)

/** Blobs that an image needs; one that is named twice comes once. */
export const blobsOf = ({ config, layers }: Extract<Manifest, { kind: 'image' }>): Map<Digest, number> =>
  new Map([config, ...layers.filter((layer) => !isElsewhere(layer))].map((one) => [one.digest, one.size]))

export type ImagePlatform = {
  os: string
  architecture: string
  /** Empty: none. */
  variant: string
  diffIds: Digest[]
}

/** @returns undefined when the configuration is not one of an image (an attestation, a chart) */
export const readImageConfig = (content: string): ImagePlatform | undefined => {
  const read = imageConfig.safeParse(parseJson(content))
  if (!read.success) return undefined
  const { os, architecture, variant = '', rootfs } = read.data
  return { os, architecture, variant, diffIds: rootfs.diff_ids }
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
