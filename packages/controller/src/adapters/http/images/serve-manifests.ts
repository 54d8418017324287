// Manifests and tags: out byte for byte as they came in, and in only when everything is there that they refer to.
import { ImageError } from '../../../core/images/image-error.ts'
import { maxManifestBytes } from '../../../core/images/read-manifest.ts'
import { callerOf } from '../access.ts'
import type { ImageRequest } from './add-image-routes.ts'

/** Tags in one answer, unless fewer are asked for. */
const maxTags = 1000

export const getManifest = async ({ images, request, reply, at }: ImageRequest<'manifest'>) => {
  const row = await images.manifest(at.repository, at.reference)
  reply
    .type(row.mediaType)
    .header('docker-content-digest', row.digest)
    .header('etag', `"${row.digest}"`)
    .header('content-length', row.sizeBytes)
  return request.method === 'HEAD' ? reply.send() : reply.send(Buffer.from(row.content, 'utf8'))
}

export const putManifest = async ({ images, request, reply, at, name }: ImageRequest<'manifest'>) => {
  const digest = await images.putManifest(callerOf(request).actor, {
    repository: at.repository,
    reference: at.reference,
    mediaType: request.headers['content-type'] ?? '',
    content: await readLimited(request.raw)
  })
  return reply
    .code(201)
    .header('location', `/v2/${name}/manifests/${digest}`)
    .header('docker-content-digest', digest)
    .send()
}

export const removeManifest = async ({ images, request, reply, at }: ImageRequest<'manifest'>) => {
  await images.remove(callerOf(request).actor, at.repository, at.reference)
  return reply.code(202).send()
}

export const listTags = async ({ images, request, reply, at, name }: ImageRequest<'tags'>) => {
  const { n, last } = request.query as { n?: string; last?: string | string[] }
  if (Array.isArray(last)) throw new ImageError('UNSUPPORTED', 'last is given once')
  if (n !== undefined && !/^\d{1,9}$/.test(n)) throw new ImageError('UNSUPPORTED', 'n is a whole number')
  const limit = Math.min(Number(n ?? maxTags), maxTags)
  if (limit === 0) return { name, tags: [] }
  const page = last === undefined ? { limit: limit + 1 } : { limit: limit + 1, after: last }
  const found = await images.tags(at.repository, page)
  const tags = found.slice(0, limit)
  if (found.length > limit) {
    const next = new URLSearchParams({ n: String(limit), last: tags.at(-1) ?? '' })
    reply.header('link', `</v2/${name}/tags/list?${String(next)}>; rel="next"`)
  }
  return { name, tags }
}

const readLimited = async (body: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > maxManifestBytes)
      throw new ImageError('SIZE_INVALID', `a manifest may have ${maxManifestBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
