// Server-sent events (WHATWG HTML, section 9.2.6) from chunks of text: only what the controller sends, data and
// comments. Pure. Bounded: a stream that never ends an event is refused, not kept.

/** One snapshot of a deployment with a thousand hosts, with the steps of each, is about 2 MiB. */
const maxEventChars = 16 * 1024 * 1024

export type StreamState = { readonly rest: string; readonly data: readonly string[] }
export const emptyStream: StreamState = { rest: '', data: [] }

/**
 * @returns the state to go on with, and the data of every event that the chunk completed
 * @throws RangeError when one event passes the limit
 */
export function readChunk(state: StreamState, chunk: string): { state: StreamState; events: string[] } {
  const lines = (state.rest + chunk).split(/\r\n|\n|\r(?!$)/)
  const rest = lines.pop() ?? ''
  const events: string[] = []
  let data = [...state.data]
  for (const line of lines) {
    if (line === '' && data.length > 0) {
      events.push(data.join('\n'))
      data = []
    } else if (line.startsWith('data:')) {
      data.push(line.slice(line.startsWith('data: ') ? 6 : 5))
    }
  }
  if (rest.length + data.reduce((sum, line) => sum + line.length, 0) > maxEventChars) {
    throw new RangeError('an event of the stream is too large')
  }
  return { state: { rest, data }, events }
}
