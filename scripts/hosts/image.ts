// How a container image is made without a builder and without a pull: layers are tar archives of given files,
// the config is plain JSON. The same input gives the same digests.
// Source: https://github.com/moby/docker-image-spec (v1.2) and the Distribution manifest, schema 2.
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { EngineClient } from './engine-client.ts'
import { packTar, type TarEntry } from './tar.ts'

export type Blob = { digest: string; content: Buffer }
export type Image = { config: Blob; layers: Blob[]; manifest: string; diffIds: string[]; archives: Buffer[] }

/** The part of an image's config that says how to run it; durations in nanoseconds, as Docker wants them. */
export type ImageConfig = {
  Cmd?: string[]
  Entrypoint?: string[]
  Env?: string[]
  ExposedPorts?: Record<string, object>
  Healthcheck?: {
    Test: string[]
    Interval?: number
    Timeout?: number
    Retries?: number
    StartPeriod?: number
  }
  Labels?: Record<string, string>
  StopSignal?: string
  User?: string
  WorkingDir?: string
}

const architectures: Record<string, string> = { x64: 'amd64', arm64: 'arm64' }
/** Any moment will do, as long as it stays the same. */
const createdAt = '2026-01-01T00:00:00Z'

const blobOf = (content: Buffer): Blob => ({
  digest: `sha256:${createHash('sha256').update(content).digest('hex')}`,
  content
})

/** Makes an image for this machine's architecture; each list of files becomes one layer. */
export const makeImage = (layers: readonly (readonly TarEntry[])[], config: ImageConfig): Image => {
  const archives = layers.map(packTar)
  const diffIds = archives.map((archive) => blobOf(archive).digest)
  const packed = archives.map((archive) => blobOf(gzipSync(archive)))
  const configBlob = blobOf(
    Buffer.from(
      JSON.stringify({
        architecture: architectures[process.arch] ?? process.arch,
        os: 'linux',
        created: createdAt,
        config,
        rootfs: { type: 'layers', diff_ids: diffIds },
        history: diffIds.map(() => ({ created: createdAt, created_by: 'longshore' }))
      })
    )
  )
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      size: configBlob.content.length,
      digest: configBlob.digest
    },
    layers: packed.map(({ digest, content }) => ({
      mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      size: content.length,
      digest
    }))
  })
  return { config: configBlob, layers: packed, manifest, diffIds, archives }
}

/** As `docker save` wrote it before Engine 25. */
export const savedArchive = (name: string, image: Image): Buffer => {
  const layerPath = (index: number): string => `layer${index}.tar`
  const manifest = [
    { Config: 'config.json', RepoTags: [name], Layers: image.archives.map((_, index) => layerPath(index)) }
  ]
  return packTar([
    { type: 'file', path: 'config.json', content: image.config.content },
    { type: 'file', path: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)) },
    ...image.archives.map((content, index) => ({ type: 'file' as const, path: layerPath(index), content }))
  ])
}

/** Puts an image straight into an engine, as `docker load` does. */
export const loadImage = async (client: EngineClient, name: string, image: Image): Promise<void> => {
  const answer = await client.postRaw(
    '/images/load?quiet=true',
    savedArchive(name, image),
    'application/x-tar'
  )
  if (!answer.includes('Loaded image')) throw new Error(`docker load: ${answer}`)
}

/** Pulls an image as `docker pull` does. A failed pull answers 200 too, with the error in its stream. */
export const pullImage = async (client: EngineClient, repository: string, tag: string): Promise<void> => {
  const query = new URLSearchParams({ fromImage: repository, tag })
  const progress = await client.postRaw(`/images/create?${query}`, Buffer.alloc(0), 'application/json')
  if (progress.includes('"errorDetail"')) throw new Error(`docker pull ${repository}:${tag}: ${progress}`)
}
