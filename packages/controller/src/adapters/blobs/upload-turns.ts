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
      const stop = new AbortController()
      const running = work({ until: (stream) => untilStopped(stream, stop.signal) })
      const ended = running.catch(() => {}).finally(() => taken.delete(upload))
      taken.set(upload, {
        stop: () =>
          stop.abort(new ImageError('BLOB_UPLOAD_INVALID', 'another request goes on with the upload')),
        ended
      })
      return running
    }
  }
}

async function* untilStopped<T>(stream: AsyncIterable<T>, stop: AbortSignal): AsyncGenerator<T> {
  const iterator = stream[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = await unlessStopped(iterator.next(), stop)
    if (done === true) return
    yield value
  }
}

/** No race with a promise that lives as long as the upload: that one would hold all that has passed. */
const unlessStopped = <T>(next: Promise<T>, stop: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const stopped = (): void => reject(stop.reason)
    if (stop.aborted) stopped()
    stop.addEventListener('abort', stopped)
    next.then(resolve, reject).finally(() => stop.removeEventListener('abort', stopped))
  })
