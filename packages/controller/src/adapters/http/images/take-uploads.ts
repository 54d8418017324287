// Blobs in: begun by POST, sent by PATCH in any number of pieces, ended by PUT with the digest; or all at once. A client
// that lost its connection asks by GET how far it came and goes on from there.
import type { Digest } from '@longshore/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ImageError } from '../../../core/images/image-error.ts'
import { readDigest } from '../../../core/images/image-path.ts'
import { formatUploadRange, readContentRange } from '../../../core/images/ranges.ts'
import type { ImageRequest } from './add-image-routes.ts'

export const beginUpload = async ({ images, request, reply, name }: ImageRequest<'uploads'>) => {
  const query = request.query as { mount?: string; digest?: string }
  if (query.mount !== undefined) {
    // content is the same in every repository: whatever is stored can be mounted
    const blob = readDigest(query.mount)
    if ((await images.blobs.sizeOf(blob)) !== undefined) return created(reply, name, blob)
  }
  const digest = query.digest === undefined ? undefined : readDigest(query.digest)
  const upload = await images.uploads.begin()
  if (digest === undefined) return told(reply.code(202), name, upload, 0)
  return finish({ images, request, reply, name }, upload, digest)
}

export const tellUpload = async ({ images, reply, at, name }: ImageRequest<'upload'>) =>
  told(reply.code(204), name, at.upload, await images.uploads.sizeOf(at.upload))

export const sendPiece = async ({ images, request, reply, at, name }: ImageRequest<'upload'>) => {
  const offset = readContentRange(request.headers['content-range'])
  try {
    const sizeBytes = await images.uploads.append(at.upload, bodyOf(request), offset)
    return told(reply.code(202), name, at.upload, sizeBytes)
  } catch (error) {
    if (error instanceof ImageError && error.code === 'RANGE_INVALID') {
      reply.headers(headersOf(name, at.upload, await images.uploads.sizeOf(at.upload)))
    }
    throw error
  }
}

export const finishUpload = async ({ images, request, reply, at, name }: ImageRequest<'upload'>) => {
  const { digest = '' } = request.query as { digest?: string }
  return finish({ images, request, reply, name }, at.upload, readDigest(digest))
}

export const cancelUpload = async ({ images, reply, at }: ImageRequest<'upload'>) => {
  await images.uploads.cancel(at.upload)
  return reply.code(204).send()
}

const finish = async (
  { images, request, reply, name }: Pick<ImageRequest, 'images' | 'request' | 'reply' | 'name'>,
  upload: string,
  digest: Digest
) => {
  if (hasBody(request)) {
    const offset = readContentRange(request.headers['content-range'])
    await images.uploads.append(upload, bodyOf(request), offset)
  }
  await images.uploads.finish(upload, digest)
  return created(reply, name, digest)
}

/** A client that sends nothing for so long is gone; what it sent stays for it. */
const idleMs = 60_000

/** Left open at the end: when an upload fails, the answer still has to reach the client. */
const bodyOf = (request: FastifyRequest): AsyncIterable<Uint8Array> => {
  const { raw } = request
  raw.setTimeout(idleMs, () => raw.destroy())
  raw.once('end', () => raw.setTimeout(0))
  return { [Symbol.asyncIterator]: () => raw.iterator({ destroyOnReturn: false }) }
}

const hasBody = ({ headers }: FastifyRequest): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

const created = (reply: FastifyReply, name: string, digest: string) =>
  reply
    .code(201)
    .header('location', `/v2/${name}/blobs/${digest}`)
    .header('docker-content-digest', digest)
    .send()

const headersOf = (name: string, upload: string, sizeBytes: number) => ({
  location: `/v2/${name}/blobs/uploads/${upload}`,
  range: formatUploadRange(sizeBytes),
  'docker-upload-uuid': upload
})

const told = (reply: FastifyReply, name: string, upload: string, sizeBytes: number) =>
  reply.headers(headersOf(name, upload, sizeBytes)).send()
