// A registry that misbehaves on demand, in front of a real one: answers with a status, sends other bytes than a digest
// names, stops in the middle of a layer, or goes away once an engine pulls.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Test } from 'tap'
import type { Certificate } from './authority.ts'

export type Oddity =
  | { kind: 'none' }
  /** Of everything but `GET /v2/`. */
  | { kind: 'status'; status: number }
  | { kind: 'wrong-config' }
  | { kind: 'wrong-layer' }
  | { kind: 'wrong-manifest' }
  /** After so many bytes of a blob nothing more comes, and the connection stays. */
  | { kind: 'stalls'; afterBytes: number }
  /** The first answer with a large blob breaks off after so many bytes. */
  | { kind: 'cuts-once'; afterBytes: number }
  /** The first upload breaks off after so many bytes. */
  | { kind: 'cuts-upload-once'; afterBytes: number }
  /** When the first engine asks for a layer: to resolve a tag it takes the config only. */
  | { kind: 'ends-at-pull' }

export type OddRegistry = {
  /** HOST:PORT */
  name: string
  oddity: Oddity
  /** What was asked for, as `GET /v2/...`, with a range behind it if there is one. */
  asked: string[]
  /** Answers that stand still. */
  stalled: number
  /** Goes away: connections break, and nobody listens any more. */
  end(): void
}

/** @param behind HOST:PORT of the real one; `certificate`: absent for plain HTTP */
export const startOddRegistry = async (
  test: Test,
  address: string,
  port: number,
  behind: string,
  certificate?: Certificate
): Promise<OddRegistry> => {
  const answer = (asked: IncomingMessage, response: ServerResponse): void =>
    serve(odd, behind, asked, response)
  const server =
    certificate === undefined
      ? createServer(answer)
      : createTlsServer({ cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) }, answer)
  const end = (): void => {
    server.close()
    server.closeAllConnections()
  }
  const odd: OddRegistry = {
    name: `${address}:${String(port)}`,
    oddity: { kind: 'none' },
    asked: [],
    stalled: 0,
    end
  }
  server.listen(port, address)
  await once(server, 'listening')
  test.teardown(end)
  return odd
}

const serve = (odd: OddRegistry, behind: string, asked: IncomingMessage, response: ServerResponse): void => {
  const { method = 'GET', url = '/', headers } = asked
  odd.asked.push([method, url, ...(headers.range === undefined ? [] : [headers.range])].join(' '))
  const { oddity } = odd
  if (oddity.kind === 'status' && url !== '/v2/') {
    response.writeHead(oddity.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message: 'as the test wanted' }] }))
    return
  }
  const [host = '', port = ''] = behind.split(':')
  const sent = request({ host, port, path: url, method, headers: { ...headers, host: behind } }, (answer) => {
    const isBlob = url.includes('/blobs/')
    const isLayer = isBlob && Number(answer.headers['content-length']) > layerBytes
    if (oddity.kind === 'ends-at-pull' && isLayer && headers['user-agent']?.startsWith('docker')) {
      odd.end()
      return
    }
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    let bytes = 0
    answer.on('data', (received: Buffer) => {
      const chunk = isBlob ? falsified(oddity, isLayer, received) : misnumbered(oddity, url, received)
      const isStuck = oddity.kind === 'stalls' && isBlob && bytes + chunk.length > oddity.afterBytes
      if (isStuck && bytes <= oddity.afterBytes) odd.stalled += 1
      bytes += chunk.length
      if (!isStuck) response.write(chunk)
      if (oddity.kind !== 'cuts-once' || !isLayer || bytes <= oddity.afterBytes) return
      odd.oddity = { kind: 'none' }
      answer.destroy()
      response.destroy()
    })
    // whoever is behind has died
    answer.on('error', () => response.destroy())
    answer.on('end', () => {
      if (oddity.kind !== 'stalls' || !isBlob || bytes <= oddity.afterBytes) response.end()
    })
  })
  sent.on('error', () => response.destroy())
  asked.pipe(sent)
  if (oddity.kind !== 'cuts-upload-once') return
  let taken = 0
  asked.on('data', (chunk: Buffer) => {
    taken += chunk.length
    if (taken <= oddity.afterBytes) return
    odd.oddity = { kind: 'none' }
    sent.destroy()
    asked.destroy()
  })
}

/** Configs of test images are smaller, their layers larger. */
const layerBytes = 10_000

const falsified = ({ kind }: Oddity, isLayer: boolean, chunk: Buffer): Buffer => {
  if (kind !== (isLayer ? 'wrong-layer' : 'wrong-config')) return chunk
  const changed = Buffer.from(chunk)
  changed[changed.length - 1] = (chunk.at(-1) ?? 0) ^ 1
  return changed
}

/** Still a manifest, of the same length. */
const misnumbered = ({ kind }: Oddity, url: string, chunk: Buffer): Buffer =>
  kind === 'wrong-manifest' && url.includes('/manifests/sha256:')
    ? Buffer.from(
        chunk
          .toString()
          .replace(
            /("size":)(\d)/,
            (_, name: string, digit: string) => `${name}${digit === '9' ? 1 : Number(digit) + 1}`
          )
      )
    : chunk
