// The app that is replaced under load: every answer names its version and repeats what was asked, over HTTP and
// WebSocket on one port and by a protocol of lines on another. It ends at once on SIGTERM, whatever is in flight;
// by its environment it also crashes, turns unhealthy or answers errors. It runs in a container, from a bundle.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createLineServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocketServer } from 'ws'

const version = process.env['VERSION'] ?? 'unknown'
const numberOf = (name: string): number | undefined => {
  const text = process.env[name]
  return text === undefined ? undefined : Number(text)
}
const crashAfterMs = numberOf('CRASH_AFTER_MS')
const crashExitCode = numberOf('CRASH_EXIT_CODE')
const sickAfterMs = numberOf('SICK_AFTER_MS')
const errorShare = numberOf('ERROR_SHARE') ?? 0

let isSick = false
let served = 0
/** The first request of a user, not of a health check: what the environment announces begins now. */
const countRequest = (): void => {
  served += 1
  if (served > 1) return
  if (crashAfterMs !== undefined) setTimeout(() => process.exit(crashExitCode), crashAfterMs)
  if (sickAfterMs !== undefined)
    setTimeout(() => {
      isSick = true
    }, sickAfterMs)
}
/** Spread evenly over all requests. */
const isErrorsTurn = (): boolean => Math.floor(served * errorShare) > Math.floor((served - 1) * errorShare)

const answer = (response: ServerResponse, text: string, status = 200): void => {
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

const takeBody = async (request: IncomingMessage): Promise<string> => {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return `${bytes} ${hash.digest('hex')}`
}

const stream = async (
  response: ServerResponse,
  id: string,
  chunks: number,
  everyMs: number
): Promise<void> => {
  response.writeHead(200, { 'content-type': 'text/plain' })
  for (let number = 0; number < chunks; number++) {
    response.write(`${version} ${id} ${number}\n`)
    await pause(everyMs)
  }
  response.end('end\n')
}

const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const url = new URL(request.url ?? '/', 'http://app')
  const asked = (name: string): string => url.searchParams.get(name) ?? ''
  if (url.pathname === '/health') return answer(response, `${version}\n`, isSick ? 503 : 200)
  countRequest()
  if (isErrorsTurn()) return answer(response, `${version} ${asked('id')} broken\n`, 500)
  switch (url.pathname) {
    case '/':
      return answer(response, asked('id') === '' ? `${version}\n` : `${version} ${asked('id')}\n`)
    case '/echo':
      return answer(response, `${version} ${asked('id')} ${await takeBody(request)}\n`)
    case '/slow':
      await pause(Number(asked('ms')))
      return answer(response, `${version} ${asked('id')}\n`)
    case '/stream':
      return stream(response, asked('id'), Number(asked('chunks')), Number(asked('ms')))
    default:
      return answer(response, 'no such page\n', 404)
  }
}

const http = createServer((request, response) => {
  // A client that leaves in the middle is none of the app's business.
  handle(request, response).catch(() => response.destroy())
})
new WebSocketServer({ server: http }).on('connection', (socket) => {
  countRequest()
  socket.on('message', (text) => socket.send(`${version} ${text}`))
})
const lines = createLineServer((connection) => {
  let rest = ''
  connection.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const id of parts) {
      countRequest()
      connection.write(`${version} ${id}\n`)
    }
  })
  connection.on('error', () => connection.destroy())
})

process.on('SIGTERM', () => process.exit(0))
lines.listen(Number(process.env['LINE_PORT']), () => {
  http.listen(Number(process.env['HTTP_PORT']), () => console.log(`${version} serves`))
})
