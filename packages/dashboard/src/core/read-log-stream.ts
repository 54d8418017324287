// Server-sent events from chunks of text, as far as the controller makes use of them: one line of data each, and
// comments that keep the connection alive.

/** A line of a log is 20 KiB as JSON at most: this is no such stream. */
const maxRestChars = 1024 * 1024

/** @returns the data of every event that the chunk completed, and what is left for the next one */
export const readLogChunk = (rest: string, chunk: string): { rest: string; data: string[] } => {
  const parts = (rest + chunk).split('\n\n')
  const left = parts.pop() ?? ''
  if (left.length > maxRestChars) throw new RangeError('an event of the stream is too large')
  return { rest: left, data: parts.flatMap((part) => (part.startsWith('data: ') ? part.slice(6) : [])) }
}
