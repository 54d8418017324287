// Reads a tar from its beginning to its end, one file after another; nothing is kept and nothing is unpacked. An archive
// of an image is read twice: to learn what is in it, and to send what is missing.
import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, type Headers } from 'tar-stream'
import { CliError } from '../cli-errors.ts'

/** Whether the archive has to be read on. */
export type Visited = 'next' | 'enough'

/**
 * @param visit reads as much of the content as it wants; the rest is skipped
 * @throws what `visit` threw; CliError image-unreadable when the stream breaks off or is no tar, to a visit under way as well
 */
export async function walkArchive(
  source: Readable,
  visit: (header: Headers, content: Readable) => Promise<Visited>
): Promise<void> {
  const archive = extract()
  // not the end of the pipeline alone: an answer of HTTP that has arrived whole tells nobody that it was destroyed
  const outcome = Promise.withResolvers<void>()
  let visiting: Promise<Visited> = Promise.resolve('next')
  let visited: PassThrough | undefined
  archive.on('entry', (header, passed, next) => {
    // the archive's own stream never tells that the archive broke off to who is not reading at that moment
    const content = passed.pipe(new PassThrough())
    content.on('error', () => {})
    visited = content
    const ended = once(content, 'end')
    ended.catch(() => {})
    visiting = visit(header, content)
    visiting
      .then(async (wish) => {
        if (wish === 'enough') return outcome.resolve()
        content.resume()
        await ended
        next()
      })
      .catch(outcome.reject)
  })
  pipeline(source, archive).then(outcome.resolve, (cause: unknown) => {
    const error = unreadable(cause)
    visited?.destroy(error)
    // a visit that was under way says more than that its archive was closed
    visiting.then(() => outcome.reject(error), outcome.reject)
  })
  try {
    await outcome.promise
  } finally {
    source.destroy()
  }
}

const unreadable = (cause: unknown): CliError => {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new CliError('image-unreadable', `the image cannot be read: ${detail}`, [], { cause })
}
