// A blob from the controller to the engine, by way of two buffers that are used again and again: a third of the work that
// the ordinary client makes of it, which asks for new memory for every 64 KiB. Only an answer that says how long it is goes
// this way; any other is left to that client.
import type { ServerResponse } from 'node:http'
import { connect, isIP, type Socket } from 'node:net'
import { type SecureContext, connect as secureConnect } from 'node:tls'

/** As much as a socket gives at once, and small enough for a dozen layers at a time. */
const bufferBytes = 128 * 1024
/** As much as Node's own client takes. */
const maxHeadBytes = 16 * 1024

export type BlobRequest = {
  /** Of the controller. */
  base: URL
  /** null for http */
  tls: SecureContext | null
  /** With the path of `base`. */
  path: string
  headers: Record<string, string>
  /** Until the answer begins, and without a byte of it. */
  limits: { answerMs: number; idleMs: number }
}
export type BlobHead = { status: number; headers: Record<string, string>; lengthBytes: number }

/**
 * @param begin writes what the engine gets before the bytes; called once
 * @returns false when nothing was written, and the ordinary client is to ask: the answer is none of a blob
 * @throws Error of the connection; what was begun has broken off then
 */
export const relayBlob = (
  request: BlobRequest,
  response: ServerResponse,
  begin: (head: BlobHead) => void
): Promise<boolean> =>
  new Promise((resolve, reject) => {
    if (response.destroyed) return reject(new Error('the engine has gone'))
    const { limits } = request
    let head = Buffer.alloc(0)
    /** null: the answer has not begun. */
    let leftBytes: number | null = null
    let unwritten = 0
    let isOver = false
    const end = (result: boolean | Error): void => {
      if (isOver) return
      isOver = true
      clearTimeout(late)
      socket.destroy()
      if (result instanceof Error) reject(result)
      else resolve(result)
    }
    /** @returns whether the next bytes have a place: the buffer before the last one is free */
    const pass = (bytes: Buffer, upToBytes: number): boolean => {
      const wanted = bytes.subarray(0, upToBytes)
      leftBytes = upToBytes - wanted.length
      if (leftBytes === 0) {
        response.end(wanted, () => end(true))
        socket.destroy()
      } else if (wanted.length > 0) {
        unwritten += 1
        response.write(wanted, () => {
          unwritten -= 1
          socket.resume()
        })
      }
      return leftBytes > 0 && unwritten < 2
    }
    const take = (bytes: Buffer): boolean => {
      if (isOver) return false
      if (leftBytes !== null) return leftBytes > 0 && pass(bytes, leftBytes)
      head = Buffer.concat([head, bytes])
      const headEnd = head.indexOf('\r\n\r\n')
      if (headEnd === -1) {
        if (head.length > maxHeadBytes) end(false)
        return !isOver
      }
      const read = readBlobHead(head.toString('latin1', 0, headEnd))
      if (read === undefined) {
        end(false)
        return false
      }
      clearTimeout(late)
      begin(read)
      return pass(head.subarray(headEnd + 4), read.lengthBytes)
    }
    const socket = open(request, take)
    const late = setTimeout(() => end(new Error(`no answer in ${limits.answerMs} ms`)), limits.answerMs)
    socket.setTimeout(limits.idleMs, () => end(new Error(`no byte in ${limits.idleMs} ms`)))
    socket.on('error', end)
    socket.on('close', () => leftBytes !== 0 && end(new Error('the connection ended before the blob')))
    // an engine that gave up needs no more of it
    response.once('close', () => end(new Error('the engine has gone')))
    socket.write(textOf(request), 'latin1')
  })

const textOf = ({ base, path, headers }: BlobRequest): string => {
  const lines = Object.entries({ host: base.host, connection: 'close', ...headers })
  return `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

const open = ({ base, tls }: BlobRequest, take: (bytes: Buffer) => boolean): Socket => {
  const buffers = [Buffer.allocUnsafeSlow(bufferBytes), Buffer.allocUnsafeSlow(bufferBytes)] as const
  let turn: 0 | 1 = 0
  const host = base.hostname.replace(/^\[|\]$/g, '')
  const isSecure = base.protocol === 'https:'
  const options = {
    host,
    port: Number(base.port) || (isSecure ? 443 : 80),
    onread: {
      buffer: () => {
        turn = turn === 0 ? 1 : 0
        return buffers[turn]
      },
      callback: (count: number, bytes: Uint8Array) => take(Buffer.from(bytes.buffer, bytes.byteOffset, count))
    }
  }
  if (!isSecure) return connect(options)
  return secureConnect({
    ...options,
    ...(tls && { secureContext: tls }),
    servername: isIP(host) === 0 ? host : ''
  })
}

/** @returns undefined for all but 200 and 206 with a length and no other framing (RFC 9112, 6.3) */
export const readBlobHead = (text: string): BlobHead | undefined => {
  const [first = '', ...lines] = text.split('\r\n')
  const [, status] = /^HTTP\/1\.[01] (200|206)(?: |$)/.exec(first) ?? []
  if (status === undefined) return undefined
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    // a line that is folded, or a second value: nothing to guess about
    if (name === undefined || Object.hasOwn(headers, name.toLowerCase())) return undefined
    headers[name.toLowerCase()] = value
  }
  const length = headers['content-length'] ?? ''
  if (headers['transfer-encoding'] !== undefined || !/^\d{1,15}$/.test(length)) return undefined
  return { status: Number(status), headers, lengthBytes: Number(length) }
}
