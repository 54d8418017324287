// A client that speaks HTTP/2 over TLS: GET and POST in turn, in a session that it shares with others. When the
// server says that the session ends, what is under way in it goes on and what comes next has a new one.
import { readFileSync } from 'node:fs'
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { type Attempt, type Client, failureOf, limitMs, postBody, versionIn } from './http-clients.ts'
import { RequestFailed, type Tally } from './tally.ts'

const clientsPerSession = 4

export type Sessions = { open(): Client; close(): void }

/** The server did nothing of it (RFC 9113, 8.7): it may be sent again. */
class Refused extends Error {}

export const openSessions = (url: string, caFile: string, tally: Tally): Sessions => {
  const ca = readFileSync(caFile)
  const slots: (ClientHttp2Session | undefined)[] = []
  const known = new Set<ClientHttp2Session>()
  let clients = 0

  const sessionOf = (slot: number): ClientHttp2Session => {
    const open = slots[slot]
    if (open !== undefined && !open.closed && !open.destroyed) return open
    const session = connect(url, { ca })
    slots[slot] = session
    known.add(session)
    const leave = (): void => {
      if (slots[slot] === session) slots[slot] = undefined
    }
    // Its streams tell what this means for them.
    session.on('error', leave)
    session.on('goaway', leave)
    session.on('close', () => {
      known.delete(session)
      leave()
    })
    return session
  }
  const send = (session: ClientHttp2Session, path: string, body?: Buffer): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const method = body === undefined ? 'GET' : 'POST'
    const stream = session.request({ ':path': path, ':method': method }, { endStream: body === undefined })
    let status = 0
    let text = ''
    let isWhole = false
    stream.setTimeout(limitMs, () => {
      reject(new RequestFailed('timeout', `no answer within ${limitMs} ms`))
      stream.close(constants.NGHTTP2_CANCEL)
    })
    stream.setEncoding('utf8')
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0
    })
    stream.on('data', (part: string) => {
      text += part
    })
    stream.on('end', () => {
      isWhole = status !== 0
    })
    stream.on('error', (error) => {
      if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) reject(new Refused())
      else reject(failureOf(error, status !== 0))
    })
    stream.on('close', () => {
      if (!isWhole) reject(failureOf(new Error(`stream closed with ${stream.rstCode}`), status !== 0))
      else if (status < 200 || status > 299)
        reject(new RequestFailed('status', `${status} ${text.trimEnd()}`))
      else resolve(text)
    })
    if (body !== undefined) stream.end(body)
    return promise
  }
  return {
    open: () => {
      const slot = Math.floor(clients++ / clientsPerSession)
      let turn = 0
      const attempt: Attempt = async (id) => {
        turn += 1
        const once = async (): Promise<string> =>
          turn % 2 === 0
            ? versionIn(await send(sessionOf(slot), `/?id=${id}`), id)
            : versionIn(
                await send(sessionOf(slot), `/echo?id=${id}`, postBody.content),
                `${id} ${postBody.answer}`
              )
        try {
          return await once()
        } catch (error) {
          if (!(error instanceof Refused)) throw failureOf(error, false)
          tally.sentAgain += 1
          return once()
        }
      }
      return { attempt, close: () => undefined }
    },
    close: () => {
      for (const session of known) session.close()
    }
  }
}
