// One at a time works on an upload, and the latest wins: a client that lost its connection and comes back must not wait
// for the server to notice that the old one is dead.
import { ImageError } from '../../core/images/image-error.ts'

export type Turn = {
  /** The stream, which fails as soon as another one takes the turn, even while nothing arrives. */
  until<T>(stream: AsyncIterable<T>): AsyncIterable<T>
}
export type Turns = {
  take<T>(upload: string, work: (turn: Turn) => Promise<T>): Promise<T>
  isTaken(upload: string): boolean
}

type Taken = { stop(): void; ended: Promise<unknown> }

export const createTurns = (): Turns => {
  const taken = new Map<string, Taken>()
  return {
    isTaken: (upload) => taken.has(upload),
    take: async (upload, work) => {
      for (let former = taken.get(upload); former !== undefined; former = taken.get(upload)) {
        former.stop()
        await former.ended
      }
      const stopped = Promise.withResolvers<never>()
      stopped.promise.catch(() => {})
      const running = work({ until: (stream) => untilStopped(stream, stopped.promise) })
      const ended = running.catch(() => {}).finally(() => taken.delete(upload))
      taken.set(upload, {
        stop: () =>
          stopped.reject(new ImageError('BLOB_UPLOAD_INVALID', 'another request goes on with the upload')),
        ended
      })
      return running
    }
  }
}

async function* untilStopped<T>(stream: AsyncIterable<T>, stopped: Promise<never>): AsyncGenerator<T> {
  const iterator = stream[Symbol.asyncIterator]()
  for (;;) {
    const next = iterator.next()
    // whoever is stopped does not look at it any more
    next.catch(() => {})
    const { done, value } = await Promise.race([next, stopped])
    if (done === true) return
    yield value
  }
}
