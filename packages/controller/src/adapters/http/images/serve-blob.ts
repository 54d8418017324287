// Blobs out: whole or a range of bytes, as they are stored.
import type { Digest } from '@longshore/protocol'
import type { FastifyReply } from 'fastify'
import { ImageError } from '../../../core/images/image-error.ts'
import { type ByteRange, readRange } from '../../../core/images/ranges.ts'
import type { OpenBlob } from '../../../image-ports.ts'
import type { ImageRequest } from './add-image-routes.ts'

export const serveBlob = async ({ images, request, reply, at: { digest } }: ImageRequest<'blob'>) => {
  if (request.method === 'HEAD') {
    const sizeBytes = await images.blobs.sizeOf(digest)
    if (sizeBytes === undefined) throw unknown(digest)
    return describe(reply, digest).header('content-length', sizeBytes).send()
  }
  const blob = await images.blobs.open(digest)
  if (blob === undefined) throw unknown(digest)
  const range = await rangeOf(request.headers.range, reply, blob)
  const content = await blob.stream(range)
  describe(reply, digest)
  if (range === null) return reply.header('content-length', blob.sizeBytes).send(content)
  return reply
    .code(206)
    .header('content-range', `bytes ${range.first}-${range.last}/${blob.sizeBytes}`)
    .header('content-length', range.last - range.first + 1)
    .send(content)
}

const unknown = (digest: Digest): ImageError => new ImageError('BLOB_UNKNOWN', `${digest} is not stored here`)

const describe = (reply: FastifyReply, digest: Digest): FastifyReply =>
  reply
    .type('application/octet-stream')
    .header('docker-content-digest', digest)
    .header('etag', `"${digest}"`)
    .header('accept-ranges', 'bytes')

const rangeOf = async (
  header: string | undefined,
  reply: FastifyReply,
  blob: OpenBlob
): Promise<ByteRange | null> => {
  try {
    return readRange(header, blob.sizeBytes)
  } catch (error) {
    await blob.close()
    reply.header('content-range', `bytes */${blob.sizeBytes}`)
    throw error
  }
}
