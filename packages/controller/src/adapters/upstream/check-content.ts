// Content on its way through: its digest is made as it passes, and the last piece follows only when the digest is right.
// Whoever receives it has less than was announced otherwise, and never something whole that is wrong.
import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'
import type { Digest } from '@longshore/protocol'
import { ImageError } from '../../core/images/image-error.ts'
import type { ByteRange } from '../../core/images/ranges.ts'

/** @throws ImageError `STORE_CORRUPT` */
export const demandDigest = (content: Uint8Array, wanted: Digest): void => {
  const found = `sha256:${createHash('sha256').update(content).digest('hex')}`
  if (found !== wanted) throw corrupt(`${wanted} came as ${found}`)
}

export const corrupt = (detail: string): ImageError =>
  new ImageError('STORE_CORRUPT', `the registry behind the image store gave other content: ${detail}`)

/** Fails with ImageError `STORE_CORRUPT`. */
export const checkDigest = (wanted: Digest): Transform => {
  const hash = createHash('sha256')
  let held: Buffer | undefined
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      const ready = held
      held = chunk
      done(null, ready)
    },
    flush(done) {
      const found = `sha256:${hash.digest('hex')}`
      if (found === wanted) done(null, held)
      else done(corrupt(`${wanted} came as ${found}`))
    }
  })
}

/** Passes these bytes of what comes. Fails with ImageError `STORE_CORRUPT` when there are fewer. */
export const cutOut = ({ first, last }: ByteRange): Transform => {
  let position = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const from = Math.max(0, first - position)
      const to = Math.max(0, last + 1 - position)
      position += chunk.length
      done(null, chunk.subarray(from, to))
    },
    flush(done) {
      done(position > last ? null : corrupt(`it ended after ${position} bytes`))
    }
  })
}
