// The controller's end of a session: `welcome` first, then the agent's `hello`, then messages both ways, and what
// ends it. Pure. Signing, verifying and the socket are left to the caller: frames arrive verified, effects are
// carried out in order.
import type { ProtocolErrorCode } from '../errors.ts'
import { handshakeTimeoutMs } from '../limits.ts'
import type { DownMessage, UpFrame, UpMessage } from '../messages/index.ts'
import type { HelloMessage, WelcomeMessage } from '../messages/session.ts'
import {
  type Channel,
  countHeard,
  countReceived,
  type FrameToSend,
  faultOf,
  judgeLife,
  lifeDueAtMs,
  nextFrame,
  openChannel
} from './channel.ts'
import { type ByeReason, endForFault, type SessionEnd } from './end.ts'
import { splitMessages } from './split-messages.ts'

/** Up messages that may come once the session is established. */
export type DeliveredUp = Exclude<UpMessage, { type: 'hello' | 'bye' }>
/** Down messages that the gateway itself queues; the machine sends `welcome` and `bye`. */
export type QueuedDown = Exclude<DownMessage, { type: 'welcome' | 'bye' }>

export type ControllerEndState =
  /** `welcome` was sent; the first frame must be `hello`. The session does not count yet. */
  | { readonly phase: 'awaiting-hello'; readonly channel: Channel; readonly deadlineAtMs: number }
  | { readonly phase: 'established'; readonly channel: Channel }
  | { readonly phase: 'closed'; readonly end: SessionEnd }

/** `atMs`: a clock that never jumps; its origin does not matter, but it is the same for all events. */
export type ControllerEndEvent =
  /** Signature (by the agent of the assertion) and schema are good. */
  | { readonly kind: 'frame-received'; readonly atMs: number; readonly frame: UpFrame }
  /** The frame codec refused what arrived. */
  | {
      readonly kind: 'frame-refused'
      readonly atMs: number
      readonly code: ProtocolErrorCode
      readonly detail: string
    }
  /** Sent in this order. Dropped unless established: what must arrive stays in the outbox. */
  | { readonly kind: 'messages-queued'; readonly atMs: number; readonly messages: readonly QueuedDown[] }
  /** Another session of the same key was established: ping now, whatever the interval. */
  | { readonly kind: 'probe-wanted'; readonly atMs: number }
  /** WebSocket ping or pong. */
  | { readonly kind: 'life-heard'; readonly atMs: number }
  /** At or after `controllerEndDueAtMs`. */
  | { readonly kind: 'time-passed'; readonly atMs: number }
  | {
      readonly kind: 'close-wanted'
      readonly atMs: number
      readonly reason: ByeReason
      /** When a rule was broken: `overloaded`, `duplicate-session`, `revoked`. */
      readonly code: ProtocolErrorCode | null
      readonly detail: string
    }
  | { readonly kind: 'connection-lost'; readonly atMs: number }

export type ControllerEndEffect =
  | { readonly kind: 'send'; readonly frame: FrameToSend<DownMessage> }
  /** WebSocket ping. */
  | { readonly kind: 'ping' }
  /** The session counts from here on: the agent is connected. */
  | { readonly kind: 'establish'; readonly hello: HelloMessage }
  | { readonly kind: 'deliver'; readonly messages: readonly DeliveredUp[] }
  /** Last effect of a session, exactly once: close the socket after what was sent before, if it is still open. */
  | { readonly kind: 'close'; readonly end: SessionEnd }

export type ControllerEndStep = {
  readonly state: ControllerEndState
  readonly effects: readonly ControllerEndEffect[]
}

/**
 * The assertion was accepted and the upgrade done: sends `welcome`.
 * @param options.welcome its `session` is `sessionIdOf(clientNonce, serverNonce)`
 */
export const beginControllerEnd = (options: { welcome: WelcomeMessage; atMs: number }): ControllerEndStep => {
  const opened = openChannel(options.welcome.session, options.atMs, options.welcome)
  const { channel, frame } = nextFrame<DownMessage>(opened, [options.welcome])
  return {
    state: { phase: 'awaiting-hello', channel, deadlineAtMs: options.atMs + handshakeTimeoutMs },
    effects: [{ kind: 'send', frame }]
  }
}

/** When `time-passed` is due; undefined: never again. */
export const controllerEndDueAtMs = (state: ControllerEndState): number | undefined => {
  switch (state.phase) {
    case 'awaiting-hello':
      return state.deadlineAtMs
    case 'established':
      return lifeDueAtMs(state.channel)
    case 'closed':
      return undefined
    default:
      return state satisfies never
  }
}

/** One event. After the end, events change nothing and have no effects. */
export const stepControllerEnd = (
  state: ControllerEndState,
  event: ControllerEndEvent
): ControllerEndStep => {
  if (state.phase === 'closed') return { state, effects: [] }
  switch (event.kind) {
    case 'frame-received':
      return receiveFrame(state, event)
    case 'frame-refused':
      return closeFor(state, event.code, event.detail)
    case 'messages-queued':
      return state.phase === 'established' ? sendMessages(state, event.messages) : { state, effects: [] }
    case 'probe-wanted':
      return ping(state, event.atMs)
    case 'life-heard':
      return { state: { ...state, channel: countHeard(state.channel, event.atMs) }, effects: [] }
    case 'time-passed':
      return passTime(state, event.atMs)
    case 'close-wanted':
      return close(state, { by: 'us', reason: event.reason, code: event.code, detail: event.detail })
    case 'connection-lost':
      return finish({ by: 'loss' })
    default:
      return event satisfies never
  }
}

type Open = Exclude<ControllerEndState, { phase: 'closed' }>
type FrameReceived = Extract<ControllerEndEvent, { kind: 'frame-received' }>

const receiveFrame = (state: Open, event: FrameReceived): ControllerEndStep => {
  const fault = faultOf(state.channel, event.frame)
  if (fault) return closeFor(state, fault.code, fault.detail)
  const next = { ...state, channel: countReceived(state.channel, event.atMs) }
  return next.phase === 'awaiting-hello' ? receiveFirst(next, event.frame) : receiveNext(next, event.frame)
}

const receiveFirst = (
  state: Extract<Open, { phase: 'awaiting-hello' }>,
  frame: UpFrame
): ControllerEndStep => {
  const [first, ...others] = frame.messages
  if (others.length === 0 && first?.type === 'bye') return endByPeer(first, [])
  if (others.length > 0 || first?.type !== 'hello') {
    return closeFor(state, 'message-unexpected', 'the first frame is not hello alone')
  }
  return {
    state: { phase: 'established', channel: state.channel },
    effects: [{ kind: 'establish', hello: first }]
  }
}

const receiveNext = (state: Extract<Open, { phase: 'established' }>, frame: UpFrame): ControllerEndStep => {
  const delivered: DeliveredUp[] = []
  for (const message of frame.messages) {
    if (message.type === 'bye') return endByPeer(message, deliver(delivered))
    if (message.type === 'hello') return closeFor(state, 'message-unexpected', 'hello while established')
    delivered.push(message)
  }
  return { state, effects: deliver(delivered) }
}

const deliver = (messages: DeliveredUp[]): ControllerEndEffect[] =>
  messages.length > 0 ? [{ kind: 'deliver', messages }] : []

const endByPeer = (
  bye: Extract<UpMessage, { type: 'bye' }>,
  before: readonly ControllerEndEffect[]
): ControllerEndStep => {
  const closed = finish({ by: 'peer', reason: bye.reason, detail: bye.detail ?? '' })
  return { state: closed.state, effects: [...before, ...closed.effects] }
}

const sendMessages = (
  state: Extract<Open, { phase: 'established' }>,
  messages: readonly QueuedDown[]
): ControllerEndStep => {
  let channel = state.channel
  const effects: ControllerEndEffect[] = []
  for (const group of splitMessages<DownMessage>(messages)) {
    const next = nextFrame(channel, group)
    channel = next.channel
    effects.push({ kind: 'send', frame: next.frame })
  }
  return { state: { phase: 'established', channel }, effects }
}

const passTime = (state: Open, atMs: number): ControllerEndStep => {
  if (state.phase === 'awaiting-hello') {
    const isLate = atMs >= state.deadlineAtMs
    return isLate ? closeFor(state, 'silent', 'the handshake took too long') : { state, effects: [] }
  }
  switch (judgeLife(state.channel, atMs)) {
    case 'silent':
      return closeFor(state, 'silent')
    case 'ping':
      return ping(state, atMs)
    case 'nothing':
      return { state, effects: [] }
  }
}

const ping = (state: Open, atMs: number): ControllerEndStep => ({
  state: { ...state, channel: { ...state.channel, pingedAtMs: atMs } },
  effects: [{ kind: 'ping' }]
})

const closeFor = (state: Open, code: ProtocolErrorCode, detail?: string): ControllerEndStep =>
  close(state, endForFault(code, detail))

const close = (state: Open, end: Extract<SessionEnd, { by: 'us' }>): ControllerEndStep => {
  const closed = finish(end)
  const detail = [end.code ?? '', end.detail].filter((part) => part !== '').join(': ')
  const { frame } = nextFrame<DownMessage>(state.channel, [
    { type: 'bye', reason: end.reason, ...(detail !== '' && { detail }) }
  ])
  return { state: closed.state, effects: [{ kind: 'send', frame }, ...closed.effects] }
}

const finish = (end: SessionEnd): ControllerEndStep => ({
  state: { phase: 'closed', end },
  effects: [{ kind: 'close', end }]
})
