// A stream of events to a client that reads, one that does not, and one that goes away: real sockets.
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { fastify } from 'fastify'
import t, { type Test } from 'tap'
import {
  createEventResponses,
  type EventResponse,
  maxStreamsPerToken
} from '../../../../packages/controller/src/adapters/http/event-response.ts'
import type { StreamEvent } from '../../../../packages/controller/src/api/schemas.ts'
import { createMeters } from '../../../../packages/controller/src/engine/meters.ts'

/** Events are passed on as they are; only their size matters here. */
const eventOf = (chars: number) => ({ type: 'warning', text: 'x'.repeat(chars) }) as unknown as StreamEvent

const openStream = async (
  t: Test,
  { keepAliveMs, mayGoOn = async () => true }: { keepAliveMs?: number; mayGoOn?: () => Promise<boolean> } = {}
) => {
  const app = fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  const responses = createEventResponses(createMeters(), keepAliveMs)
  const began = Promise.withResolvers<EventResponse>()
  const ended = Promise.withResolvers<void>()
  app.get('/', (_request, reply) => began.resolve(responses.begin(reply, 'tok', ended.resolve, mayGoOn)))
  const url = app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = new URL(await url)
  const socket = connectTcp(Number(port), '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  return { responses, response: await began.promise, ended: ended.promise, socket }
}

t.test('a client that leaves more than a megabyte unread is cut off', async (t) => {
  const { response, ended } = await openStream(t)
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  // the kernel takes a few megabytes before anything waits here
  let sent = 0
  for (; !isOver && sent < 1000; sent += 1) {
    response.send(eventOf(100_000), 'run-100_000')
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(isOver)
  response.send(eventOf(1), 'run-1')
})

t.test('a long beginning waits for its client to read, and for no client that is gone', async (t) => {
  const { response, socket } = await openStream(t)
  let read = 0
  socket.on('data', (part) => {
    read += part.length
  })
  for (let sent = 0; sent < 100; sent += 1) {
    response.send(eventOf(300_000), 'run-1')
    await response.room()
  }
  const over = once(socket, 'end')
  response.end()
  await over
  t.ok(read > 30_000_000, 'nothing is cut off')
  const other = await openStream(t)
  other.socket.pause()
  for (let sent = 0; sent < 60; sent += 1) other.response.send(eventOf(300_000), 'run-1')
  const room = other.response.room()
  other.socket.destroy()
  await room
  await other.ended
})

t.test('events are numbered, and the end of all streams ends this one', async (t) => {
  const { responses, response, ended, socket } = await openStream(t)
  response.send(eventOf(1), 'run-1')
  response.send(eventOf(2), 'run-2')
  responses.endAll()
  let text = ''
  socket.setEncoding('utf8').on('data', (part) => {
    text += part
  })
  await ended
  await once(socket, 'end')
  t.match(text, /content-type: text\/event-stream/)
  t.match(text, /id: run-1\ndata: \{"type":"warning","text":"x"\}\n\n[\s\S]*id: run-2\ndata: /)
})

t.test('a client that goes away ends the stream', async (t) => {
  const { ended, socket } = await openStream(t)
  socket.destroy()
  await ended
  t.pass('it was told')
})

t.test('a stream ends once who asked for it may not go on', async (t) => {
  const answers = [true, false]
  const mayGoOn = async () => answers.shift() ?? t.fail('asked after the end')
  const { ended, socket } = await openStream(t, { keepAliveMs: 5, mayGoOn })
  socket.resume()
  await ended
  t.same(answers, [])
})

t.test('it ends also for a client that reads nothing', async (t) => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const mayGoOn = async () => {
    await asked
    return false
  }
  const { response, ended, socket } = await openStream(t, { keepAliveMs: 5, mayGoOn })
  socket.pause()
  // the kernel takes a few megabytes before anything waits here
  for (let sent = 0; response.waitingBytes === 0 && sent < 1000; sent += 1) {
    response.send(eventOf(100_000), 'run-1')
    await new Promise((resolve) => setImmediate(resolve))
  }
  ask()
  await ended
  t.pass('it was told')
})

t.test('a stream ends when nobody can say whether it may go on', async (t) => {
  const mayGoOn = () => Promise.reject(new Error('the store is closed'))
  const { ended, socket } = await openStream(t, { keepAliveMs: 5, mayGoOn })
  socket.resume()
  await t.resolves(ended)
})

t.test('a token has so many streams and no more, until one of them ends', async (t) => {
  const app = fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  const responses = createEventResponses(createMeters())
  const open: EventResponse[] = []
  const ended: Promise<void>[] = []
  app.get('/:token', async ({ params }, reply) => {
    const over = Promise.withResolvers<void>()
    const { token } = params as { token: string }
    open.push(responses.begin(reply, token, over.resolve, async () => true))
    ended.push(over.promise)
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  // fetch ends the body of an answer that nobody holds any more
  const held: Response[] = []
  t.teardown(() => Promise.all(held.map(({ body }) => body?.cancel())))
  const statusOf = async (token: string) => {
    const answer = await fetch(`${url}/${token}`)
    held.push(answer)
    return answer.status
  }
  for (let count = 0; count < maxStreamsPerToken; count += 1) t.equal(await statusOf('one'), 200)
  const refused = await fetch(`${url}/one`)
  t.match(await refused.json(), { code: 'rate-limited', message: /50 event streams/ })
  t.equal(await statusOf('other'), 200, 'another token has its own')
  open[0]?.end()
  await ended[0]
  t.equal(await statusOf('one'), 200)
})
