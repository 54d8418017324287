// One agent's WebSocket: bytes to the frame codec, verified frames to the session machine, its effects back to the
// socket. Which of two connections counts, and what the messages mean, is the gateway's.
import {
  beginControllerEnd,
  type ControllerEndEvent,
  type ControllerEndState,
  type ControllerEndStep,
  closeFrameOf,
  controllerEndDueAtMs,
  createControllerCodec,
  type DeliveredUp,
  type HelloMessage,
  limits,
  type ProtocolErrorCode,
  type QueuedDown,
  type SessionEnd,
  type SigningKey,
  stepControllerEnd,
  type VerifyKey,
  type WelcomeMessage
} from '@longshore/protocol'
import type { WebSocket } from 'ws'
import type { Clock } from '../../ports.ts'

/** A peer that does not answer the closing handshake is cut off. */
const closeTimeoutMs = 1000
/** Frames waiting for their signature; more means that the agent's commands outrun this machine. */
const maxSendingFrames = 64

type CloseReason = Extract<ControllerEndEvent, { kind: 'close-wanted' }>['reason']

export type ConnectionListener = {
  established(hello: HelloMessage): void
  delivered(messages: readonly DeliveredUp[]): void
  /** Frame, ping or pong. */
  alive(): void
  /** Exactly once; nothing comes after it. */
  ended(end: SessionEnd): void
}

export type Connection = {
  /** false: the session is over, or the agent does not read and the session has just been ended for it. */
  send(messages: readonly QueuedDown[]): boolean
  probe(): void
  close(reason: CloseReason, code: ProtocolErrorCode | null, detail: string): void
  /** Reading stops and goes on: the only way to slow an agent down. */
  pause(): void
  resume(): void
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>
}

export type ConnectionEnds = {
  key: SigningKey
  agentKey: VerifyKey
  welcome: WelcomeMessage
  /** The time that frames tell. */
  nowMs: () => number
  /** For everything that is waited for. */
  steadyClock: Clock
}

export const openConnection = (
  socket: WebSocket,
  ends: ConnectionEnds,
  listener: ConnectionListener
): Connection => {
  const { steadyClock } = ends
  let cancelTimer = (): void => {}
  const codec = createControllerCodec(
    {
      key: ends.key,
      nowMs: ends.nowMs,
      keyOf: (kid) => (kid === ends.agentKey.kid ? ends.agentKey : undefined)
    },
    {
      received: (frame) => step({ kind: 'frame-received', atMs: steadyClock.nowMs(), frame }),
      signed: (jws) => socket.send(jws),
      failed: (error) =>
        step({ kind: 'frame-refused', atMs: steadyClock.nowMs(), code: error.code, detail: error.message })
    }
  )
  let state: ControllerEndState
  const carryOut = (next: ControllerEndStep): void => {
    state = next.state
    for (const effect of next.effects) {
      switch (effect.kind) {
        case 'send':
          codec.send(effect.frame)
          break
        case 'ping':
          socket.ping()
          break
        case 'establish':
          listener.established(effect.hello)
          break
        case 'deliver':
          listener.delivered(effect.messages)
          break
        case 'close':
          codec.stopReceiving()
          void closeSocket(socket, codec.flushed(), effect.end)
          listener.ended(effect.end)
          break
        default:
          effect satisfies never
      }
    }
    schedule()
  }
  const step = (event: ControllerEndEvent): void => carryOut(stepControllerEnd(state, event))
  const schedule = (): void => {
    cancelTimer()
    const dueAtMs = controllerEndDueAtMs(state)
    if (dueAtMs === undefined) return
    cancelTimer = steadyClock.at(dueAtMs, () => step({ kind: 'time-passed', atMs: steadyClock.nowMs() }))
  }
  const hear = (): void => {
    step({ kind: 'life-heard', atMs: steadyClock.nowMs() })
    listener.alive()
  }
  const close: Connection['close'] = (reason, code, detail) =>
    step({ kind: 'close-wanted', atMs: steadyClock.nowMs(), reason, code, detail })

  socket.on('message', (data: Buffer) => {
    listener.alive()
    codec.receive(data)
  })
  socket.on('ping', hear)
  socket.on('pong', hear)
  socket.on('error', () => socket.terminate())
  socket.on('close', () => step({ kind: 'connection-lost', atMs: steadyClock.nowMs() }))
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
  })
  const begun = beginControllerEnd({ welcome: ends.welcome, atMs: steadyClock.nowMs() })
  state = begun.state
  carryOut(begun)
  return {
    send: (messages) => {
      if (state.phase !== 'established') return false
      if (socket.bufferedAmount > limits.maxBufferedBytes) {
        close('overloaded', 'overloaded', `${socket.bufferedAmount} bytes wait to be read`)
        return false
      }
      if (codec.sendingFrames > maxSendingFrames) return false
      step({ kind: 'messages-queued', atMs: steadyClock.nowMs(), messages })
      return true
    },
    probe: () => step({ kind: 'probe-wanted', atMs: steadyClock.nowMs() }),
    close,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    closed
  }
}

/** After what was sent before, `bye` included. */
const closeSocket = async (socket: WebSocket, flushed: Promise<void>, end: SessionEnd): Promise<void> => {
  await flushed
  const { code, reason } = closeFrameOf(end)
  if (end.by === 'loss') return socket.terminate()
  // a paused socket would never see the answer to its close frame
  socket.resume()
  socket.close(code, reason)
  const timer = setTimeout(() => socket.terminate(), closeTimeoutMs).unref()
  socket.once('close', () => clearTimeout(timer))
}
