// Clients that keep a connection open and ask something in it now and then: WebSockets and the protocol of lines.
// A connection that ends without their doing is a cut, with its code; they open another one and go on.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { WebSocket } from 'ws'
import { type Client, failureOf, limitMs, versionIn } from './http-clients.ts'
import type { Cut, Kind } from './report.ts'
import { RequestFailed, type Tally } from './tally.ts'

/** The connection was cut while an answer was awaited; it is counted as a cut, not as a failed request. */
export class WasCut extends Error {}

type Connection = {
  ask(text: string): Promise<string>
  close(): void
}
type Open = (ended: (code: string) => void) => Promise<Connection>

/** Answers come in the order of the questions, and there is one question at a time. */
const conversation = () => {
  let waiting: PromiseWithResolvers<string> | undefined
  return {
    get isAsked() {
      return waiting !== undefined
    },
    ask: (send: () => void): Promise<string> => {
      waiting = Promise.withResolvers<string>()
      const { promise, reject } = waiting
      const timer = setTimeout(
        () => reject(new RequestFailed('timeout', `no answer within ${limitMs} ms`)),
        limitMs
      )
      send()
      return promise.finally(() => {
        waiting = undefined
        clearTimeout(timer)
      })
    },
    answer: (text: string) => waiting?.resolve(text),
    cut: () => waiting?.reject(new WasCut())
  }
}

const keepOpen = (kind: Kind, client: number, tally: Tally, open: Open): Client => {
  let connection: Connection | undefined
  let isClosing = false
  let isAsked = false
  const connectAnew = async (seen: { version: string | null }): Promise<Connection> => {
    const openedAtMs = Date.now()
    return open((code) => {
      connection = undefined
      if (isClosing) return
      const cut: Cut = {
        kind,
        client,
        version: seen.version,
        code,
        atMs: Date.now(),
        openedAtMs,
        isAsked
      }
      tally.cut(cut)
    })
  }
  let seen: { version: string | null } = { version: null }
  return {
    attempt: async (id) => {
      if (connection === undefined) {
        seen = { version: null }
        connection = await connectAnew(seen)
      }
      isAsked = true
      try {
        const version = versionIn(await connection.ask(id), id)
        if (seen.version !== null && seen.version !== version)
          throw new RequestFailed('wrong', `${version} in a connection of ${seen.version}`)
        seen.version = version
        return version
      } finally {
        isAsked = false
      }
    },
    close: () => {
      isClosing = true
      connection?.close()
    }
  }
}

const openSocket =
  (url: string): Open =>
  async (ended) => {
    const socket = new WebSocket(url.replace('http', 'ws'), { handshakeTimeout: limitMs })
    const talk = conversation()
    const failed = Promise.withResolvers<never>()
    let isOpen = false
    let lastError = ''
    socket.on('error', (error: NodeJS.ErrnoException) => {
      lastError = error.code ?? error.message
      const status = /^Unexpected server response: (\d+)$/.exec(error.message)?.[1]
      failed.reject(
        status === undefined
          ? failureOf(error, false)
          : new RequestFailed('status', `${status} to the upgrade`)
      )
    })
    socket.on('close', (code) => {
      if (isOpen) ended(`${code} ${lastError}`.trimEnd())
      talk.cut()
    })
    socket.on('message', (data: Buffer) => talk.answer(String(data)))
    await Promise.race([once(socket, 'open'), failed.promise])
    isOpen = true
    return { ask: (text) => talk.ask(() => socket.send(text)), close: () => socket.close(1000) }
  }

const openLine =
  (address: { host: string; port: number }): Open =>
  async (ended) => {
    const socket: Socket = connect(address)
    const talk = conversation()
    let isOpen = false
    let lastError = 'closed'
    let rest = ''
    const failed = Promise.withResolvers<never>()
    socket.on('error', (error: NodeJS.ErrnoException) => {
      lastError = error.code ?? error.message
      failed.reject(failureOf(error, false))
    })
    socket.on('close', () => {
      if (isOpen) ended(lastError)
      talk.cut()
    })
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) talk.answer(line)
    })
    await Promise.race([once(socket, 'connect'), failed.promise])
    isOpen = true
    return { ask: (text) => talk.ask(() => socket.write(`${text}\n`)), close: () => socket.end() }
  }

/** One connection, one line, one answer. */
const askOneLine = async (address: { host: string; port: number }, id: string): Promise<string> => {
  let isCut = false
  const line = await openLine(address)(() => {
    isCut = true
  })
  try {
    return versionIn(await line.ask(id), id)
  } catch (error) {
    if (isCut) throw new RequestFailed('reset', 'closed before the answer')
    throw error
  } finally {
    line.close()
  }
}

export const openSocketClient = (url: string, client: number, tally: Tally): Client =>
  keepOpen('socket', client, tally, openSocket(url))

export const openLineClient = (
  address: { host: string; port: number },
  kind: Kind,
  client: number,
  tally: Tally
): Client =>
  kind === 'line'
    ? keepOpen('line', client, tally, openLine(address))
    : { attempt: (id) => askOneLine(address, id), close: () => undefined }
