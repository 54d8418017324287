// Images small enough to be written down: layers, a configuration, the manifest over them, and how they are sent to a
// registry with nothing but HTTP.
import { createHash } from 'node:crypto'
import { artifactRepository } from '@longshore/protocol'
import type { Image } from '../../scripts/hosts/image.ts'
import { packTar, type TarEntry } from '../../scripts/hosts/tar.ts'

export const digestOf = (content: string | Uint8Array): string =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`

export type SampleImage = {
  layers: Buffer[]
  config: Buffer
  manifest: Buffer
  mediaType: string
  digest: string
  configDigest: string
}

const types = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar'
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar'
  }
} as const
export const indexType = 'application/vnd.oci.image.index.v1+json'

export const sampleImage = (
  layers: readonly (string | Buffer)[],
  kind: keyof typeof types = 'docker',
  architecture = 'amd64'
): SampleImage => {
  const of = types[kind]
  const contents = layers.map((layer) => Buffer.from(layer))
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture,
      rootfs: { type: 'layers', diff_ids: contents.map(digestOf) }
    })
  )
  const describe = (mediaType: string, content: Buffer) => ({
    mediaType,
    size: content.length,
    digest: digestOf(content)
  })
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: of.manifest,
      config: describe(of.config, config),
      layers: contents.map((content) => describe(of.layer, content))
    })
  )
  return {
    layers: contents,
    config,
    manifest,
    mediaType: of.manifest,
    digest: digestOf(manifest),
    configDigest: digestOf(config)
  }
}

export const sampleIndex = (images: readonly SampleImage[]): { content: Buffer; digest: string } => {
  const manifests = images.map(({ mediaType, manifest, digest }) => ({
    mediaType,
    size: manifest.length,
    digest
  }))
  const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
  return { content, digest: digestOf(content) }
}

export type RegistryAnswer = { status: number; headers: Headers; body: Buffer }
export type RegistryClient = {
  ask(
    method: string,
    path: string,
    options?: { body?: string | Uint8Array; headers?: Record<string, string> }
  ): Promise<RegistryAnswer>
  /** In one request. */
  putBlob(repository: string, content: Uint8Array): Promise<RegistryAnswer>
  putImage(repository: string, reference: string, image: SampleImage): Promise<RegistryAnswer>
}

/** @param authorization the header's value; null: none is sent */
export const registryClient = (origin: () => string, authorization: string | null): RegistryClient => {
  const ask: RegistryClient['ask'] = async (method, path, { body, headers = {} } = {}) => {
    const answer = await fetch(origin() + path, {
      method,
      headers: { ...(authorization === null ? {} : { authorization }), ...headers },
      ...(body === undefined ? {} : { body: body as NonNullable<RequestInit['body']> })
    })
    return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) }
  }
  const putBlob: RegistryClient['putBlob'] = (repository, content) =>
    ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(content)}`, {
      body: content,
      headers: { 'content-type': 'application/octet-stream' }
    })
  return {
    ask,
    putBlob,
    putImage: async (repository, reference, image) => {
      for (const blob of [...image.layers, image.config]) await putBlob(repository, blob)
      return ask('PUT', `/v2/${repository}/manifests/${reference}`, {
        body: image.manifest,
        headers: { 'content-type': image.mediaType }
      })
    }
  }
}

/** The code of an OCI error body. */
export const codeOf = ({ body }: RegistryAnswer): string | undefined =>
  (JSON.parse(body.toString('utf8') || '{}') as { errors?: { code: string }[] }).errors?.[0]?.code

/** Puts an image into the controller's store as `docker push` does: under the digest that every registry has it by. */
export const pushImage = async (
  client: RegistryClient,
  repository: string,
  tag: string,
  image: Image
): Promise<string> => {
  const name = artifactRepository(repository)
  for (const blob of [image.config, ...image.layers]) {
    const put = await client.putBlob(name, new Uint8Array(blob.content))
    if (put.status !== 201) throw new Error(`blob ${blob.digest}: ${put.status} ${put.body.toString()}`)
  }
  const headers = { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' }
  const put = await client.ask('PUT', `/v2/${name}/manifests/${tag}`, { body: image.manifest, headers })
  if (put.status !== 201) throw new Error(`manifest ${tag}: ${put.status} ${put.body.toString()}`)
  return digestOf(image.manifest)
}

/** An entry of an archive. */
export const fileEntry = (path: string, content: Buffer | string): TarEntry => ({
  type: 'file',
  path,
  content: Buffer.from(content)
})
/** As `docker save` before Engine 25 writes it: what says what is what comes last. */
export const savedArchive = (image: SampleImage, name: string): Buffer =>
  packTar([
    ...image.layers.map((layer, at) => fileEntry(`${at}/layer.tar`, layer)),
    fileEntry(`${image.configDigest.slice(7)}.json`, image.config),
    fileEntry(
      'manifest.json',
      JSON.stringify([
        {
          Config: `${image.configDigest.slice(7)}.json`,
          RepoTags: [name],
          Layers: image.layers.map((_, at) => `${at}/layer.tar`)
        }
      ])
    )
  ])
