// Which image of an archive is pushed, and what does it consist of? Pure. Two formats: the OCI image layout
// (https://github.com/opencontainers/image-spec, "Image Layout"), whose manifests are passed on as they are, and that of
// `docker save` before Engine 25, for which a manifest is written: always the same one for the same image.
import { createHash } from 'node:crypto'
import { artifactRepository } from '@longshore/protocol'
import { parseImage } from '@longshore/protocol/spec'
import * as z from 'zod'
import { CliError } from '../cli-errors.ts'
import type { Survey } from './survey-archive.ts'

export type Blob = { digest: string; sizeBytes: number; isGzip: boolean; path: string }
export type PushedManifest = { digest: string; mediaType: string; content: string }
export type Chosen = {
  /** Those of an index before it; the last one is what the tag will name. */
  manifests: PushedManifest[]
  /** Each once. */
  blobs: Blob[]
  /** Of one image; null: several platforms. */
  configDigest: string | null
}
/** The image by its name, each part as it was written. */
export type Wanted = { repository: string; tag: string }

const descriptor = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int(),
  annotations: z.record(z.string(), z.string()).optional(),
  urls: z.array(z.string()).optional()
})
type Descriptor = z.infer<typeof descriptor>
const layoutIndex = z.object({ manifests: z.array(descriptor) })
const imageManifest = z.object({ config: descriptor, layers: z.array(descriptor) })
const savedImages = z.array(
  z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()) })
)

const types = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar'
}
const isIndexType = (mediaType: string): boolean => /\.manifest\.list\.|\.image\.index\./.test(mediaType)

/**
 * @param wanted null: the only one of the archive
 * @throws CliError image-unreadable
 */
export function chooseImage(survey: Survey, wanted: Wanted | null): Chosen {
  if (survey.texts.has('oci-layout') && survey.texts.has('index.json'))
    return chooseFromLayout(survey, wanted)
  if (survey.texts.has('manifest.json')) return chooseFromSaved(survey, wanted)
  throw unreadable('it is neither an archive of `docker save` nor an OCI archive')
}

/** The names of an archive's images, each as its fullest; those without one are left out. */
export function namesIn(survey: Survey): string[] {
  if (!survey.texts.has('manifest.json')) {
    const { manifests } = readText(survey, 'index.json', layoutIndex)
    return manifests.flatMap((one) => namesOf(one).slice(0, 1))
  }
  return readText(survey, 'manifest.json', savedImages).flatMap(({ RepoTags }) => RepoTags ?? [])
}

const chooseFromSaved = (survey: Survey, wanted: Wanted | null): Chosen => {
  const saved = readText(survey, 'manifest.json', savedImages)
  const image = pick(saved, wanted, ({ RepoTags }) => RepoTags ?? [])
  const config = blobAt(survey, image.Config)
  const layers = image.Layers.map((path) => blobAt(survey, path))
  const describe = (mediaType: string, { digest, sizeBytes }: Blob) => ({
    mediaType,
    size: sizeBytes,
    digest
  })
  const content = JSON.stringify({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: describe(types.config, config),
    // those of `docker save` are plain, other tools write compressed ones into the same form
    layers: layers.map((layer) => describe(layer.isGzip ? `${types.layer}.gzip` : types.layer, layer))
  })
  return {
    manifests: [{ digest: digestOf(content), mediaType: types.manifest, content }],
    blobs: unique([...layers, config]),
    configDigest: config.digest
  }
}

const chooseFromLayout = (survey: Survey, wanted: Wanted | null): Chosen => {
  const { manifests } = readText(survey, 'index.json', layoutIndex)
  const top = pick(manifests, wanted, namesOf)
  if (!isIndexType(top.mediaType)) return imageAt(survey, top)
  const children = readText(survey, layoutPath(top.digest), layoutIndex).manifests
  const present = children.filter(({ digest }) => survey.files.has(layoutPath(digest)))
  const images = present.map((child) => imageAt(survey, child))
  if (present.length === children.length) {
    return {
      manifests: [...images.flatMap((image) => image.manifests), manifestAt(survey, top)],
      blobs: unique(images.flatMap(({ blobs }) => blobs)),
      configDigest: null
    }
  }
  // an engine saves the platforms that it has; an index over others could not be pulled
  const runnable = images.filter((_, at) => !isAttestation(present[at]))
  const [only, ...others] = runnable
  if (only !== undefined && others.length === 0) return only
  throw unreadable(`it has ${runnable.length} of the ${children.length} parts of the image`)
}

const isAttestation = (one: Descriptor | undefined): boolean =>
  one?.annotations?.['vnd.docker.reference.type'] !== undefined

const imageAt = (survey: Survey, one: Descriptor): Chosen => {
  const { config, layers } = readText(survey, layoutPath(one.digest), imageManifest)
  const pushed = layers.filter(
    ({ urls = [], mediaType }) => !(urls.length > 0 && /foreign|nondistributable/.test(mediaType))
  )
  return {
    manifests: [manifestAt(survey, one)],
    blobs: unique([...pushed, config].map(({ digest }) => blobAt(survey, layoutPath(digest)))),
    configDigest: config.digest
  }
}

const manifestAt = (survey: Survey, { digest, mediaType }: Descriptor): PushedManifest => {
  const content = survey.texts.get(layoutPath(digest))
  if (content === undefined || digestOf(content) !== digest)
    throw unreadable(`the manifest ${digest} is damaged`)
  return { digest, mediaType, content }
}

const layoutPath = (digest: string): string => `blobs/sha256/${digest.slice('sha256:'.length)}`

/** A layer of `docker save` may be a link to another one. */
const blobAt = (survey: Survey, path: string): Blob => {
  let at = path
  for (let hops = 0; hops < 5 && survey.links.has(at); hops += 1) at = survey.links.get(at) ?? at
  const file = survey.files.get(at)
  if (file === undefined) throw unreadable(`${path} is missing`)
  if (/^blobs\/sha256\//.test(at) && layoutPath(file.digest) !== at) throw unreadable(`${at} is damaged`)
  return { ...file, path: at }
}

const pick = <T>(images: readonly T[], wanted: Wanted | null, names: (image: T) => string[]): T => {
  const [only, ...others] = images
  if (only === undefined) throw unreadable('it holds no image')
  if (others.length === 0) return only
  const found = wanted && images.find((image) => names(image).some((name) => isName(name, wanted)))
  if (found) return found
  throw unreadable('it holds several images; name the one to push', [
    `there are: ${images.flatMap(names).join(', ')}`
  ])
}

/** containerd writes the whole name, and the tag beside it; `docker save` the familiar one, others only the tag. */
const namesOf = ({ annotations = {} }: Descriptor): string[] =>
  ['io.containerd.image.name', 'org.opencontainers.image.ref.name'].flatMap((key) => annotations[key] ?? [])

const isName = (name: string, wanted: Wanted): boolean => {
  if (name === wanted.tag) return true
  try {
    const { repository, tag } = parseImage(name)
    return tag === wanted.tag && artifactRepository(repository) === artifactRepository(wanted.repository)
  } catch {
    return false
  }
}

const readText = <S extends z.ZodType>(survey: Survey, path: string, schema: S): z.infer<S> => {
  const text = survey.texts.get(path)
  if (text === undefined) throw unreadable(`${path} is missing`)
  try {
    return schema.parse(JSON.parse(text))
  } catch (cause) {
    throw unreadable(`${path} is not understood`, [], { cause })
  }
}

const unique = (blobs: readonly Blob[]): Blob[] => [
  ...new Map(blobs.map((blob) => [blob.digest, blob])).values()
]

const digestOf = (content: string): string => `sha256:${createHash('sha256').update(content).digest('hex')}`

const unreadable = (detail: string, hints: readonly string[] = [], options?: ErrorOptions): CliError =>
  new CliError('image-unreadable', `the image cannot be read: ${detail}`, hints, options)
