// Server-sent events to one client (WHATWG HTML, section 9.2): numbered, kept alive by comments, and bounded: a
// client that does not read is dropped, it can come back and gets a new snapshot.
import type { ServerResponse } from 'node:http'
import { limits } from '@longshore/protocol'
import type { FastifyReply } from 'fastify'
import type { StreamEvent } from '../../api/schemas.ts'

/** Proxies cut idle connections at 60 s; some at 30 s. */
const defaultKeepAliveMs = 15_000

export type EventResponse = {
  send(event: StreamEvent): void
  end(): void
}
export type EventResponses = {
  /**
   * Takes the reply over.
   * @param ended called once, however it ended
   * @param mayGoOn asked with each comment; the stream ends when the answer is no
   */
  begin(reply: FastifyReply, ended: () => void, mayGoOn: () => Promise<boolean>): EventResponse
  endAll(): void
}

export const createEventResponses = (keepAliveMs = defaultKeepAliveMs): EventResponses => {
  const open = new Set<ServerResponse>()
  return {
    begin: (reply, ended, mayGoOn) => {
      reply.hijack()
      const { raw } = reply
      open.add(raw)
      raw.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        // nginx holds answers back unless it is told not to
        'x-accel-buffering': 'no'
      })
      raw.flushHeaders()
      let number = 0
      const write = (text: string): void => {
        if (raw.writableEnded || raw.destroyed) return
        if (raw.writableLength > limits.maxBufferedBytes) raw.destroy()
        else raw.write(text)
      }
      const keepAlive = async (): Promise<void> => {
        write(': still here\n\n')
        // a store that cannot answer ends the stream too: the client comes back and is told why
        if (!(await mayGoOn().catch(() => false))) raw.end()
      }
      const timer = setInterval(() => void keepAlive(), keepAliveMs).unref()
      raw.once('close', () => {
        clearInterval(timer)
        open.delete(raw)
        ended()
      })
      return {
        send: (event) => {
          number += 1
          write(`id: ${number}\ndata: ${JSON.stringify(event)}\n\n`)
        },
        end: () => raw.end()
      }
    },
    endAll: () => {
      for (const raw of open) raw.end()
    }
  }
}
