// Server-sent events to one client (WHATWG HTML, section 9.2): kept alive by comments, and bounded: a client that
// does not read is dropped, it can come back; so many streams per token.
import type { ServerResponse } from 'node:http'
import { limits } from '@longshore/protocol'
import type { FastifyReply } from 'fastify'
import { ApiError } from '../../api/errors.ts'
import type { Meters } from '../../engine/meters.ts'

/** Proxies cut idle connections at 60 s; some at 30 s. */
const defaultKeepAliveMs = 15_000
/** Whoever reads nothing for so long is cut off. */
const readWithinMs = 30_000
/** One per host of a large pipeline and a dashboard or two; each costs a socket and a copy of every event. */
export const maxStreamsPerToken = 50

export type EventResponse = {
  /** @param id what a client that comes back says it has seen last; none: it cannot say */
  send(event: object, id?: string): void
  /** Resolves when the client has read most of what was sent, or is gone: asked between the events of a long beginning. */
  room(): Promise<void>
  end(): void
  /** Bytes that the client has not yet taken. */
  readonly waitingBytes: number
}
export type EventResponses = {
  /**
   * Takes the reply over.
   * @param token id of the token that asked
   * @param ended called once, however it ended
   * @param mayGoOn asked with each comment; the stream ends when the answer is no
   * @throws ApiError `rate-limited` when the token has too many open; the reply is untouched then
   */
  begin(reply: FastifyReply, token: string, ended: () => void, mayGoOn: () => Promise<boolean>): EventResponse
  endAll(): void
}

export const createEventResponses = (
  meters: Pick<Meters, 'streamOpened'>,
  keepAliveMs = defaultKeepAliveMs
): EventResponses => {
  /** Each with its token. */
  const open = new Map<ServerResponse, string>()
  return {
    begin: (reply, token, ended, mayGoOn) => {
      demandRoom([...open.values()].filter((one) => one === token).length)
      reply.hijack()
      const { raw } = reply
      open.set(raw, token)
      const closed = meters.streamOpened()
      raw.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        // nginx holds answers back unless it is told not to
        'x-accel-buffering': 'no'
      })
      raw.flushHeaders()
      const write = (text: string): void => {
        if (raw.writableEnded || raw.destroyed) return
        if (raw.writableLength > limits.maxBufferedBytes) raw.destroy()
        else raw.write(text)
      }
      let isOver = false
      const keepAlive = async (): Promise<void> => {
        // it had the time until now to read what was sent before; it holds what others wait for
        if (isOver) return void raw.destroy()
        write(': still here\n\n')
        // a store that cannot answer ends the stream too: the client comes back and is told why
        if (await mayGoOn().catch(() => false)) return
        isOver = true
        raw.end()
      }
      const timer = setInterval(() => void keepAlive(), keepAliveMs).unref()
      raw.once('close', () => {
        clearInterval(timer)
        open.delete(raw)
        closed()
        ended()
      })
      return {
        room: () => roomIn(raw),
        send: (event, id) =>
          write(`${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`),
        end: () => raw.end(),
        get waitingBytes() {
          return raw.writableLength
        }
      }
    },
    endAll: () => {
      for (const raw of open.keys()) raw.end()
    }
  }
}

const roomIn = (raw: ServerResponse): Promise<void> => {
  if (raw.destroyed || raw.writableLength < limits.maxBufferedBytes / 2) return Promise.resolve()
  const { promise, resolve } = Promise.withResolvers<void>()
  const tooLate = setTimeout(() => raw.destroy(), readWithinMs).unref()
  raw.once('drain', resolve)
  raw.once('close', resolve)
  return promise.finally(() => {
    clearTimeout(tooLate)
    raw.off('drain', resolve)
    raw.off('close', resolve)
  })
}

const demandRoom = (count: number): void => {
  if (count < maxStreamsPerToken) return
  throw new ApiError('rate-limited', `this token has ${count} event streams open, the most that it may have`)
}
