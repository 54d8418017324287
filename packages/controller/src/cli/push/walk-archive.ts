// Reads a tar from its beginning to its end, one file after another; nothing is kept and nothing is unpacked. An archive
// of an image is read twice: to learn what is in it, and to send what is missing.
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, type Headers } from 'tar-stream'

/**
 * @param visit reads as much of the content as it wants; the rest is skipped
 * @returns rejects with what `visit` threw, or when the stream is no tar
 */
export async function walkArchive(
  source: Readable,
  visit: (header: Headers, content: Readable) => Promise<void>
): Promise<void> {
  const archive = extract()
  let visiting: Promise<void> = Promise.resolve()
  archive.on('entry', (header, passed, next) => {
    // typed as a PassThrough of Node, it is one of readable-stream: the same as far as it is used here
    const content: Readable = passed
    const ended = once(content, 'end')
    ended.catch(() => {})
    visiting = visit(header, content)
    visiting
      .then(async () => {
        content.resume()
        await ended
      })
      .then(() => next(), next)
  })
  try {
    await pipeline(source, archive)
  } catch (error) {
    // a visit that fails closes the archive: its own reason says more than that
    await visiting
    throw error
  }
}
