// One log of a service for as long as somebody looks: asked for again when the connection is lost. Reads no faster than
// the page takes, so that what it cannot take stays with the hosts, which count it.
import type { LogEvent } from '@longshore/controller/api'
import { createLogCourse, type LogCourse } from '@longshore/controller/log-course'
import { AskError, askStream } from './ask-controller.ts'
import { askFirst, type LogSource, logPath } from './core/log-wish.ts'
import { readLogChunk } from './core/read-log-stream.ts'

export type LogConnection =
  | { readonly state: 'asking' | 'reading' | 'ended' }
  /** It is tried again. */
  | { readonly state: 'lost'; readonly reason: string }
  /** It is not: what was refused passes only when somebody does something. */
  | { readonly state: 'refused'; readonly reason: string }

export type LogTaker = {
  events(events: readonly LogEvent[]): void
  connection(now: LogConnection): void
  /** Resolves when more can be taken. */
  room(): Promise<void>
}

const retryBaseMs = 500
const retryCapMs = 10_000
/** Work at a stretch, so that drawing and keys have their turn. */
const stretchMs = 8

/** @param clockAheadMs the controller's clock less this machine's */
export const followLogs = (source: LogSource, clockAheadMs: number, taker: LogTaker): { stop(): void } => {
  const stopped = new AbortController()
  const { signal } = stopped
  void readOn(source, Date.now() + clockAheadMs, taker, signal).catch((error: unknown) => {
    if (!signal.aborted) taker.connection({ state: 'refused', reason: reasonOf(error) })
  })
  return { stop: () => stopped.abort() }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Whether asking again can help. */
const isPassing = (error: unknown): boolean =>
  !(error instanceof AskError) || error.status === 0 || error.status === 429 || error.status >= 500

const readOn = async (source: LogSource, nowMs: number, taker: LogTaker, signal: AbortSignal) => {
  const first = askFirst(source, nowMs)
  const course = createLogCourse()
  let question = first
  let failures = 0
  while (!signal.aborted) {
    let reason = 'the controller closed the stream'
    taker.connection({ state: 'asking' })
    try {
      const stream = await askStream(logPath(question), signal)
      taker.connection({ state: 'reading' })
      const took = (): void => {
        failures = 0
      }
      if ((await readStream(stream, { course, took, taker, signal })) === 'ended') {
        taker.connection({ state: 'ended' })
        return
      }
    } catch (error) {
      if (signal.aborted) return
      if (!isPassing(error)) throw error
      reason = error instanceof AskError ? error.message : 'the connection to the controller is lost'
    }
    if (!source.wish.isFollowed && course.hasBegun) throw new Error(`${reason} before everything had come`)
    taker.connection({ state: 'lost', reason })
    await pause(Math.min(retryCapMs, retryBaseMs * 2 ** failures), signal)
    failures += 1
    const sinceMs = course.askAgain()
    question = sinceMs === null ? first : { ...first, sinceMs, tail: null }
  }
}

type Reading = {
  course: LogCourse
  /** Something came. */
  took: () => void
  taker: LogTaker
  signal: AbortSignal
}

const readStream = async (
  stream: ReadableStream<Uint8Array>,
  { course, took, taker, signal }: Reading
): Promise<'ended' | 'broken'> => {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let restedAtMs = performance.now()
  while (true) {
    await taker.room()
    const { done, value } = await reader.read()
    signal.throwIfAborted()
    if (done) return 'broken'
    const chunk = readLogChunk(rest, decoder.decode(value, { stream: true }))
    rest = chunk.rest
    const events = chunk.data.map((text) => JSON.parse(text) as LogEvent)
    if (events.length > 0) took()
    taker.events(events.filter(course.take))
    if (events.at(-1)?.type === 'end') return 'ended'
    if (performance.now() - restedAtMs < stretchMs) continue
    await nextTask()
    restedAtMs = performance.now()
  }
}

/** Not a timer: those of tabs that nobody sees are slow. */
const nextTask = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
