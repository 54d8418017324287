// Which bytes are meant? `Range` of a download (RFC 9110 section 14) and `Content-Range` of a piece of an upload (OCI
// Distribution Specification 1.1, "Pushing a blob in chunks", which leaves out the unit).
import { ImageError } from './image-error.ts'

/** First and last byte, both included. */
export type ByteRange = { first: number; last: number }

/**
 * @param header of the request; one that is not understood counts as none, as RFC 9110 demands
 * @returns null: all of it
 * @throws ImageError `RANGE_INVALID`
 */
export const readRange = (header: string | undefined, sizeBytes: number): ByteRange | null => {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (from === '' && to === '') return null
  const range =
    from === ''
      ? { first: Math.max(0, sizeBytes - Number(to)), last: sizeBytes - 1 }
      : { first: Number(from), last: to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1) }
  if (range.first > range.last) {
    throw new ImageError('RANGE_INVALID', `the blob has ${sizeBytes} bytes`)
  }
  return range
}

/**
 * Where a piece of an upload begins.
 * @returns null: the request does not say it, the piece follows what is there
 * @throws ImageError `BLOB_UPLOAD_INVALID`
 */
export const readContentRange = (header: string | undefined): number | null => {
  if (header === undefined) return null
  const [, first, last] = /^(?:bytes )?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/.exec(header) ?? []
  if (first === undefined || Number(last) < Number(first)) {
    throw new ImageError('BLOB_UPLOAD_INVALID', 'expected Content-Range: FIRST-LAST')
  }
  return Number(first)
}

/** What an upload has so far, as clients of registries expect it: of nothing and of one byte it says the same. */
export const formatUploadRange = (sizeBytes: number): string => `0-${Math.max(0, sizeBytes - 1)}`
