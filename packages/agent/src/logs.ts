// The log streams of one session: opens and closes what the controller asks for, and sends what is granted at a pace
// that leaves room for everything else: one message at a time, and none while anything waits to be sent.
import {
  type DeliveredDown,
  type LogsDataMessage,
  type LogsOpenMessage,
  limits,
  type QueuedUp
} from '@longshore/protocol'
import { type LogStream, type LogStreamPorts, openLogStream } from './log-stream.ts'
import type { Clock } from './ports.ts'

/** An established session, as the logs see it. */
export type LogOutlet = {
  queue(messages: readonly QueuedUp[]): void
  readonly bufferedBytes: number
  /** Frames that wait for their signature. */
  readonly unsentFrames: number
}

export type LogMessage = Extract<DeliveredDown, { type: `logs.${string}` }>
export const isLogMessage = (message: DeliveredDown): message is LogMessage =>
  message.type.startsWith('logs.')

export type Logs = {
  attach(outlet: LogOutlet): void
  received(message: LogMessage): void
  /** The session is over, and every stream with it. */
  detach(): void
}

/** Lines that come together leave together; also bounds what logs send to one message each time. */
const flushMs = 20
/**
 * Read from the engine, of all streams together: more than people read of a log that is followed, and a small part of one
 * processor. What a command does on the host goes before (`npm run proof:logs` measures it).
 */
const bytesPerSecond = {
  idle: { followed: 2 * 1024 * 1024, past: 8 * 1024 * 1024 },
  atWork: { followed: 128 * 1024, past: 1024 * 1024 }
}
/** A shorter wait is no wait. */
const shortestWaitMs = 20

/** @param ports.isAtWork whether a command is being carried out */
export const createLogs = (ports: Omit<LogStreamPorts, 'pace'> & { isAtWork: () => boolean }): Logs => {
  const { clock, log, isAtWork } = ports
  const streams = new Map<number, LogStream>()
  const streamPorts = { ...ports, pace: createPace(clock, isAtWork) }
  let outlet: LogOutlet | undefined
  let cancelFlush: (() => void) | undefined

  const wake = (): void => {
    if (outlet !== undefined) cancelFlush ??= clock.after(flushMs, flush)
  }
  const flush = (): void => {
    cancelFlush = undefined
    if (outlet === undefined) return
    const isBusy = outlet.unsentFrames > 0 || outlet.bufferedBytes > limits.maxLogMessageBytes
    const message = isBusy ? undefined : next()
    if (message !== undefined) outlet.queue([message])
    if (isBusy || message !== undefined) wake()
  }
  /** The streams take turns. */
  const next = (): LogsDataMessage | undefined => {
    for (const [number, stream] of [...streams]) {
      const entries = stream.take()
      if (stream.isDone) streams.delete(number)
      if (entries.length === 0) continue
      if (streams.delete(number)) streams.set(number, stream)
      return { type: 'logs.data', stream: number, entries }
    }
    return undefined
  }
  const open = (request: LogsOpenMessage): void => {
    if (streams.has(request.stream)) return
    if (streams.size >= limits.maxLogStreamsPerAgent) {
      const detail = `this host has ${streams.size} logs open, the most that it may have`
      const entry = { kind: 'done' as const, outcome: 'failed' as const, detail }
      outlet?.queue([{ type: 'logs.data', stream: request.stream, entries: [entry] }])
      return
    }
    log.info({ environment: request.environment, service: request.service }, 'a log is read')
    streams.set(request.stream, openLogStream(streamPorts, request, wake))
  }

  return {
    attach(next) {
      outlet = next
    },
    received(message) {
      if (message.type === 'logs.open') return open(message)
      const stream = streams.get(message.stream)
      if (message.type === 'logs.grant') return stream?.grant(message.bytes)
      stream?.close()
      streams.delete(message.stream)
    },
    detach() {
      outlet = undefined
      cancelFlush?.()
      cancelFlush = undefined
      for (const stream of streams.values()) stream.close()
      streams.clear()
    }
  }
}

/** Of all readers together. */
const createPace = (clock: Clock, isAtWork: () => boolean): LogStreamPorts['pace'] => {
  let freeAtMs = 0
  return async (bytes, isFollowed) => {
    const nowMs = clock.monotonicMs()
    const limit = bytesPerSecond[isAtWork() ? 'atWork' : 'idle']
    const perSecond = isFollowed ? limit.followed : limit.past
    freeAtMs = Math.max(freeAtMs, nowMs) + (bytes / perSecond) * 1000
    const waitMs = freeAtMs - nowMs
    if (waitMs < shortestWaitMs) return false
    await new Promise<void>((resolve) => {
      clock.after(waitMs, resolve)
    })
    return true
  }
}
