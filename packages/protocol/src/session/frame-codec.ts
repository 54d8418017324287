// One session's frames between text and verified objects, in order: the part that has to wait, shared by both
// ends. Each direction is one promise chain, so a slow signature never lets a later frame pass an earlier one.
// What a frame means is left to the session machine.
import { ProtocolError } from '../errors.ts'
import type { SessionId } from '../ids.ts'
import { signJws, verifyJws } from '../jws.ts'
import { type SigningKey, sessionIdOf, type VerifyKey } from '../keys.ts'
import { maxFrameBytes } from '../limits.ts'
import { type DownFrame, downFrame, type UpFrame, upFrame } from '../messages/index.ts'
import type { FrameToSend } from './channel.ts'

/** Called in the order of the frames; must not throw. */
export type FrameListener<Received> = {
  received(frame: Received): void
  /** Text to write to the socket. */
  signed(jws: string): void
  /** What arrived is refused, or what was to be sent cannot be. Nothing more is received after it. */
  failed(error: ProtocolError): void
}

export type FrameCodec<M> = {
  /** A whole WebSocket message. Dropped after `failed` or `stopReceiving`. */
  receive(raw: string | Uint8Array): void
  send(frame: FrameToSend<M>): void
  stopReceiving(): void
  /** Resolves when everything sent before was handed to `signed`. Never rejects. */
  flushed(): Promise<void>
  /** Bytes received and not yet handed on: pause the socket when they grow. */
  readonly receivingBytes: number
  /** Frames sent and not yet handed to `signed`. */
  readonly sendingFrames: number
}

type Ends = {
  key: SigningKey
  keyOf: (kid: string) => VerifyKey | undefined
  /** Wall clock for the frame's `at`. */
  nowMs: () => number
}

/** @param clientNonce of our assertion; gives the `session` of the machine's event `frame-received` */
export const createAgentCodec = (
  ends: Ends & { clientNonce: string },
  listener: FrameListener<{ frame: DownFrame; session: SessionId | null }>
): FrameCodec<UpFrame['messages'][number]> =>
  createCodec(ends, listener, async (jws) => {
    const frame: DownFrame = await verifyJws('frame', jws, ends.keyOf, downFrame)
    const first = frame.messages[0]
    const session = first?.type === 'welcome' ? await sessionIdOf(ends.clientNonce, first.serverNonce) : null
    return { frame, session }
  })

/** @param ends.keyOf knows the agent's key of the assertion and no other */
export const createControllerCodec = (
  ends: Ends,
  listener: FrameListener<UpFrame>
): FrameCodec<DownFrame['messages'][number]> =>
  createCodec(ends, listener, (jws) => verifyJws('frame', jws, ends.keyOf, upFrame))

const createCodec = <M, Received>(
  ends: Ends,
  listener: FrameListener<Received>,
  verify: (jws: string) => Promise<Received>
): FrameCodec<M> => {
  let receiving = Promise.resolve()
  let sending = Promise.resolve()
  let isReceiving = true
  let receivingBytes = 0
  let sendingFrames = 0

  const fail = (error: unknown): void => {
    if (!isReceiving) return
    isReceiving = false
    listener.failed(asProtocolError(error))
  }
  const receiveOne = async (raw: string | Uint8Array): Promise<void> => {
    if (!isReceiving) return
    try {
      const frame = await verify(asText(raw))
      if (isReceiving) listener.received(frame)
    } catch (error) {
      fail(error)
    }
  }
  const sendOne = async (frame: FrameToSend<M>): Promise<void> => {
    try {
      listener.signed(await signJws('frame', { ...frame, at: ends.nowMs() }, ends.key))
    } catch (error) {
      fail(error)
    }
  }
  return {
    receive(raw) {
      const bytes = raw.length
      receivingBytes += bytes
      receiving = receiving
        .then(() => receiveOne(raw))
        .finally(() => {
          receivingBytes -= bytes
        })
    },
    send(frame) {
      sendingFrames += 1
      sending = sending
        .then(() => sendOne(frame))
        .finally(() => {
          sendingFrames -= 1
        })
    },
    stopReceiving() {
      isReceiving = false
    },
    flushed: () => sending,
    get receivingBytes() {
      return receivingBytes
    },
    get sendingFrames() {
      return sendingFrames
    }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** A frame is ASCII, whether it came as a text or as a binary message. */
const asText = (raw: string | Uint8Array): string => {
  if (raw.length > maxFrameBytes) throw new ProtocolError('frame-too-large', `${raw.length} bytes`)
  if (typeof raw === 'string') return raw
  try {
    return decoder.decode(raw)
  } catch (cause) {
    throw new ProtocolError('frame-malformed', 'not UTF-8', { cause })
  }
}

const asProtocolError = (error: unknown): ProtocolError =>
  error instanceof ProtocolError ? error : new ProtocolError('frame-malformed', undefined, { cause: error })
