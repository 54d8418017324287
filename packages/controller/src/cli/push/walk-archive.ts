// Reads a tar from its beginning to its end, one file after another; nothing is kept and nothing is unpacked. An archive
// of an image is read twice: to learn what is in it, and to send what is missing.
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, type Headers } from 'tar-stream'

/** Whether the archive has to be read on. */
export type Visited = 'next' | 'enough'

/**
 * @param visit reads as much of the content as it wants; the rest is skipped
 * @returns rejects with what `visit` threw, or when the stream is no tar
 */
export async function walkArchive(
  source: Readable,
  visit: (header: Headers, content: Readable) => Promise<Visited>
): Promise<void> {
  const archive = extract()
  // not the end of the pipeline alone: an answer of HTTP that has arrived whole tells nobody that it was destroyed
  const outcome = Promise.withResolvers<void>()
  let visiting: Promise<Visited> = Promise.resolve('next')
  archive.on('entry', (header, passed, next) => {
    // typed as a PassThrough of Node, it is one of readable-stream: the same as far as it is used here
    const content: Readable = passed
    const ended = once(content, 'end')
    ended.catch(() => {})
    visiting = visit(header, content)
    visiting
      .then(async (visited) => {
        if (visited === 'enough') return outcome.resolve()
        content.resume()
        await ended
        next()
      })
      .catch(outcome.reject)
  })
  pipeline(source, archive).then(outcome.resolve, (error: unknown) => {
    // a visit that was under way says more than that its archive was closed
    visiting.then(() => outcome.reject(error), outcome.reject)
  })
  try {
    await outcome.promise
  } finally {
    source.destroy()
  }
}
