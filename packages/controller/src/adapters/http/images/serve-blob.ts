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
  const content = blob.pour === undefined ? await blob.stream(range) : undefined
  describe(reply, digest)
  if (range === null) reply.header('content-length', blob.sizeBytes)
  else
    reply
      .code(206)
      .header('content-range', `bytes ${range.first}-${range.last}/${blob.sizeBytes}`)
      .header('content-length', range.last - range.first + 1)
  if (blob.pour === undefined) return reply.send(content)
  reply.hijack()
  reply.raw.statusCode = reply.statusCode
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value)
  // what was begun cannot be taken back: who reads sees it break off, and asks for the rest
  await blob.pour(reply.raw, range).catch(() => {})
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
