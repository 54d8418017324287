// The load as a process of its own: clients of all kinds use a service until they are told to stop (SIGTERM) or a
// bound is reached; then, one line of JSON, what became of every request. Options: JSON, as the only argument.
// Lines on the way say when every client has had an answer, who answers for the first time, and what failed.
import { setTimeout as pause } from 'node:timers/promises'
import { type Client, openHttpClient } from './load/http-clients.ts'
import { openSessions, type Sessions } from './load/http2-client.ts'
import { openLineClient, openSocketClient, WasCut } from './load/long-clients.ts'
import { type Kind, kinds, type LoadLine, type LoadOptions } from './load/report.ts'
import { RequestFailed, Tally } from './load/tally.ts'

/** WebSockets and lines are there to be open, not to be busy. */
const longPaceMs = 250

const options = JSON.parse(process.argv[2] ?? '') as LoadOptions
const say = (line: LoadLine): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
const tally = new Tally(say)
const stopping = new AbortController()
const stop = (): void => stopping.abort()
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
const bound = setTimeout(stop, options.maxMs)

let sessions: Sessions | undefined
const openClient = (kind: Kind, number: number): Client => {
  const { url, secure, line } = options
  if (secure !== null && kind === 'http2') {
    sessions ??= openSessions(secure.url, secure.caFile, tally)
    return sessions.open()
  }
  if (line !== null && (kind === 'line' || kind === 'line-fresh'))
    return openLineClient(line, kind, number, tally)
  if (url !== null && kind === 'socket') return openSocketClient(url, number, tally)
  const client = url === null ? undefined : openHttpClient(url, kind)
  if (client === undefined) throw new RangeError(`no address for ${kind}`)
  return client
}

let unready = 0
const attemptOnce = async (client: Client, kind: Kind, number: number, id: string): Promise<boolean> => {
  const [askedAtMs, begin] = [Date.now(), performance.now()]
  try {
    tally.answered(kind, await client.attempt(id), askedAtMs, performance.now() - begin)
    return true
  } catch (error) {
    if (error instanceof WasCut) return false
    if (!(error instanceof RequestFailed)) throw error
    const { why, message: detail } = error
    tally.failed({ kind, client: number, why, detail, askedAtMs, atMs: Date.now() })
    return false
  }
}
const use = async (kind: Kind, number: number): Promise<void> => {
  const client = openClient(kind, number)
  const paceMs = kind === 'socket' || kind === 'line' ? longPaceMs : options.paceMs
  let isReady = false
  for (let turn = 0; !stopping.signal.aborted; turn++) {
    const isAnswered = await attemptOnce(client, kind, number, `${kind}-${number}-${turn}`)
    if (isAnswered && !isReady) {
      isReady = true
      unready -= 1
      if (unready === 0) say({ type: 'ready' })
    }
    if (tally.requests >= options.maxRequests) stop()
    await pause(paceMs, undefined, { signal: stopping.signal }).catch(() => undefined)
  }
  client.close()
}

const lanes = kinds.flatMap((kind) =>
  Array.from({ length: options.clients[kind] ?? 0 }, (_, number) => ({ kind, number }))
)
unready = lanes.length
await Promise.all(lanes.map(({ kind, number }) => use(kind, number)))
sessions?.close()
clearTimeout(bound)
say({ type: 'report', ...tally.report() })
