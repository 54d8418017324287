// What both ends of an open session count: frames in each direction, and signs of life. The handshake, which
// differs between the ends, is left to their machines.
import type { ProtocolErrorCode } from '../errors.ts'
import type { SessionId } from '../ids.ts'

export type Channel = {
  readonly sid: SessionId
  /** Sequence number of the last frame sent and of the last one received; 0: none yet. */
  readonly sentSeq: number
  readonly receivedSeq: number
  /** When the peer was last heard: a frame, a ping or a pong. */
  readonly heardAtMs: number
  readonly pingedAtMs: number
  readonly pingIntervalMs: number
  readonly silenceLimitMs: number
}

/** A frame without its time, which the codec adds when it signs. */
export type FrameToSend<M> = { sid: SessionId; seq: number; messages: M[] }

export const openChannel = (
  sid: SessionId,
  atMs: number,
  pace: { pingIntervalMs: number; silenceLimitMs: number }
): Channel => ({
  sid,
  sentSeq: 0,
  receivedSeq: 0,
  heardAtMs: atMs,
  pingedAtMs: atMs,
  pingIntervalMs: pace.pingIntervalMs,
  silenceLimitMs: pace.silenceLimitMs
})

/** What is wrong with a verified frame here; undefined: it is the next one of this session. */
export const faultOf = (
  channel: Channel,
  frame: { sid: SessionId; seq: number }
): { code: ProtocolErrorCode; detail: string } | undefined => {
  if (frame.sid !== channel.sid) return { code: 'session-mismatch', detail: '' }
  const expected = channel.receivedSeq + 1
  if (frame.seq === expected) return undefined
  return { code: 'sequence-broken', detail: `frame ${frame.seq} where ${expected} was due` }
}

export const countReceived = (channel: Channel, atMs: number): Channel => ({
  ...channel,
  receivedSeq: channel.receivedSeq + 1,
  heardAtMs: atMs
})

export const countHeard = (channel: Channel, atMs: number): Channel => ({ ...channel, heardAtMs: atMs })

/** Takes the next sequence number. */
export const nextFrame = <M>(
  channel: Channel,
  messages: M[]
): { channel: Channel; frame: FrameToSend<M> } => {
  const seq = channel.sentSeq + 1
  return { channel: { ...channel, sentSeq: seq }, frame: { sid: channel.sid, seq, messages } }
}

/** What the clock demands now. Silence comes first: a dead peer is not pinged. */
export const judgeLife = (channel: Channel, atMs: number): 'silent' | 'ping' | 'nothing' => {
  if (atMs - channel.heardAtMs >= channel.silenceLimitMs) return 'silent'
  return atMs - channel.pingedAtMs >= channel.pingIntervalMs ? 'ping' : 'nothing'
}

/** When `judgeLife` will next have something to say. */
export const lifeDueAtMs = (channel: Channel): number =>
  Math.min(channel.heardAtMs + channel.silenceLimitMs, channel.pingedAtMs + channel.pingIntervalMs)
