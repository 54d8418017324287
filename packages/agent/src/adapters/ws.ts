// The session's WebSocket: limits on what may arrive, times on what may take long, and nothing about what is said.
import type { IncomingMessage } from 'node:http'
import type { SecureContext } from 'node:tls'
import { limits, subprotocol } from '@longshore/protocol'
import { type RawData, WebSocket } from 'ws'
import type { Connection, ConnectionListener, Dial } from '../link.ts'

/** A refusal is a problem body of some hundred bytes. */
const maxRefusalBytes = 64 * 1024
/** A peer that does not answer the close is cut off. */
const closeLimitMs = 1_000

/** @param url of the session's route, http or https. @param tls null for http */
export const createDial =
  (
    url: URL,
    tls: SecureContext | null,
    clock: { after(delayMs: number, wake: () => void): () => void }
  ): Dial =>
  (assertion, listener) => {
    const socket = new WebSocket(url.href.replace(/^http/, 'ws'), [subprotocol], {
      headers: { authorization: `Bearer ${assertion}` },
      maxPayload: limits.maxFrameBytes,
      handshakeTimeout: limits.handshakeTimeoutMs,
      perMessageDeflate: false,
      followRedirects: false,
      ...(tls && { secureContext: tls })
    })
    const ends = endOnce(listener)
    let lastError = ''
    socket.on('open', () => listener.opened(wrap(socket, clock)))
    socket.on('message', (data) => listener.received(asBytes(data)))
    socket.on('ping', () => listener.lifeHeard())
    socket.on('pong', () => listener.lifeHeard())
    socket.on('error', (error) => {
      lastError = error.message
    })
    socket.on('unexpected-response', (_request, answer: IncomingMessage) => {
      const status = answer.statusCode ?? 0
      void readRefusal(answer)
        .catch(() => '')
        .then((body) => {
          ends.refused({ status, body })
          socket.terminate()
        })
    })
    socket.on('close', (code, reason) =>
      ends.lost(lastError || `closed with ${code} ${reason.toString()}`.trim())
    )
    return () => socket.terminate()
  }

const wrap = (
  socket: WebSocket,
  clock: { after(delayMs: number, wake: () => void): () => void }
): Connection => ({
  send(text) {
    if (socket.readyState === WebSocket.OPEN) socket.send(text)
  },
  ping() {
    if (socket.readyState === WebSocket.OPEN) socket.ping()
  },
  close(code, reason) {
    if (socket.readyState === WebSocket.CLOSED) return
    const cancel = clock.after(closeLimitMs, () => socket.terminate())
    socket.once('close', cancel)
    socket.close(code, reason)
  },
  get bufferedBytes() {
    return socket.bufferedAmount
  }
})

const endOnce = (listener: ConnectionListener): Pick<ConnectionListener, 'refused' | 'lost'> => {
  let hasEnded = false
  const once = (tell: () => void): void => {
    if (hasEnded) return
    hasEnded = true
    tell()
  }
  return {
    refused: (answer) => once(() => listener.refused(answer)),
    lost: (detail) => once(() => listener.lost(detail))
  }
}

const asBytes = (data: RawData): Uint8Array =>
  data instanceof ArrayBuffer ? new Uint8Array(data) : Array.isArray(data) ? Buffer.concat(data) : data

const readRefusal = async (answer: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxRefusalBytes) break
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
