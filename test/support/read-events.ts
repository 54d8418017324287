// A stream of server-sent events over real HTTP, read one event at a time.
import { emptyStream, readChunk } from '../../packages/controller/src/cli/read-event-stream.ts'

export type Event = { [name: string]: unknown; type: string }

/** Events of the stream until it ends. The head of the answer has arrived when it resolves. */
export const openEventStream = async (
  url: string,
  token: string
): Promise<{ status: number; events: AsyncGenerator<Event> }> => {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  const { body } = answer
  if (body === null) throw new Error('an answer without a body')
  return { status: answer.status, events: readEvents(body.pipeThrough(new TextDecoderStream())) }
}

async function* readEvents(chunks: ReadableStream<string>): AsyncGenerator<Event> {
  let state = emptyStream
  for await (const chunk of chunks) {
    const read = readChunk(state, chunk)
    state = read.state
    for (const data of read.events) yield JSON.parse(data) as Event
  }
}
