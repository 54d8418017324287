// The agent's end of a session: what is due after the assertion was sent, and what ends it. Pure. Signing,
// verifying and the socket are left to the caller: frames arrive verified, effects are carried out in order.
import type { ProtocolErrorCode } from '../errors.ts'
import type { SessionId } from '../ids.ts'
import { handshakeTimeoutMs } from '../limits.ts'
import type { DownFrame, DownMessage, UpMessage } from '../messages/index.ts'
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

/** Down messages that may come once the session is established. */
export type DeliveredDown = Exclude<DownMessage, { type: 'welcome' | 'bye' }>
/** Up messages that the agent itself queues; the machine sends `hello` and `bye`. */
export type QueuedUp = Exclude<UpMessage, { type: 'hello' | 'bye' }>

export type AgentEndState =
  /** The assertion was sent; the first frame must be `welcome`. */
  | { readonly phase: 'awaiting-welcome'; readonly clientNonce: string; readonly deadlineAtMs: number }
  /** The controller is authenticated; our `hello` is being put together. */
  | { readonly phase: 'greeting'; readonly channel: Channel; readonly deadlineAtMs: number }
  /** `hello` was sent; messages go both ways. */
  | { readonly phase: 'established'; readonly channel: Channel }
  | { readonly phase: 'closed'; readonly end: SessionEnd }

/** `atMs`: a clock that never jumps; its origin does not matter, but it is the same for all events. */
export type AgentEndEvent =
  | {
      readonly kind: 'frame-received'
      readonly atMs: number
      /** Signature and schema are good. */
      readonly frame: DownFrame
      /** `sessionIdOf` over our nonce and the `serverNonce` of a `welcome` in it; null without one. */
      readonly session: SessionId | null
    }
  /** The frame codec refused what arrived. */
  | {
      readonly kind: 'frame-refused'
      readonly atMs: number
      readonly code: ProtocolErrorCode
      readonly detail: string
    }
  /** Answers the effect `greet`. */
  | { readonly kind: 'hello-prepared'; readonly atMs: number; readonly hello: HelloMessage }
  /** Sent in this order. Dropped unless established: what must arrive is kept and queued again by the caller. */
  | { readonly kind: 'messages-queued'; readonly atMs: number; readonly messages: readonly QueuedUp[] }
  /** WebSocket ping or pong. */
  | { readonly kind: 'life-heard'; readonly atMs: number }
  /** At or after `agentEndDueAtMs`. */
  | { readonly kind: 'time-passed'; readonly atMs: number }
  | {
      readonly kind: 'close-wanted'
      readonly atMs: number
      readonly reason: ByeReason
      readonly detail: string
    }
  | { readonly kind: 'connection-lost'; readonly atMs: number }

export type AgentEndEffect =
  | { readonly kind: 'send'; readonly frame: FrameToSend<UpMessage> }
  /** WebSocket ping. */
  | { readonly kind: 'ping' }
  /** Put `hello` together (welcome.nowMs gives the clock skew) and answer with `hello-prepared`. */
  | { readonly kind: 'greet'; readonly welcome: WelcomeMessage }
  /** Queue what is owed: messages are sent from now on. */
  | { readonly kind: 'establish' }
  | { readonly kind: 'deliver'; readonly messages: readonly DeliveredDown[] }
  /** Last effect of a session, exactly once: close the socket after what was sent before, if it is still open. */
  | { readonly kind: 'close'; readonly end: SessionEnd }

export type AgentEndStep = { readonly state: AgentEndState; readonly effects: readonly AgentEndEffect[] }

/** The WebSocket is open, the assertion with this nonce was accepted for an answer. */
export const beginAgentEnd = (options: { clientNonce: string; atMs: number }): AgentEndState => ({
  phase: 'awaiting-welcome',
  clientNonce: options.clientNonce,
  deadlineAtMs: options.atMs + handshakeTimeoutMs
})

/** When `time-passed` is due; undefined: never again. */
export const agentEndDueAtMs = (state: AgentEndState): number | undefined => {
  switch (state.phase) {
    case 'awaiting-welcome':
    case 'greeting':
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
export const stepAgentEnd = (state: AgentEndState, event: AgentEndEvent): AgentEndStep => {
  if (state.phase === 'closed') return { state, effects: [] }
  switch (event.kind) {
    case 'frame-received':
      return receiveFrame(state, event)
    case 'frame-refused':
      return closeFor(state, event.code, event.detail)
    case 'hello-prepared':
      return state.phase === 'greeting' ? sendHello(state, event) : { state, effects: [] }
    case 'messages-queued':
      return state.phase === 'established' ? sendMessages(state, event.messages) : { state, effects: [] }
    case 'life-heard':
      return { state: hear(state, event.atMs), effects: [] }
    case 'time-passed':
      return passTime(state, event.atMs)
    case 'close-wanted':
      return close(state, { by: 'us', reason: event.reason, code: null, detail: event.detail })
    case 'connection-lost':
      return finish({ by: 'loss' })
    default:
      return event satisfies never
  }
}

type Open = Exclude<AgentEndState, { phase: 'closed' }>
type FrameReceived = Extract<AgentEndEvent, { kind: 'frame-received' }>

const receiveFrame = (state: Open, event: FrameReceived): AgentEndStep => {
  if (state.phase === 'awaiting-welcome') return receiveWelcome(state, event)
  const fault = faultOf(state.channel, event.frame)
  if (fault) return closeFor(state, fault.code, fault.detail)
  const next = { ...state, channel: countReceived(state.channel, event.atMs) }
  const delivered: DeliveredDown[] = []
  for (const message of event.frame.messages) {
    if (message.type === 'bye') {
      const end: SessionEnd = { by: 'peer', reason: message.reason, detail: message.detail ?? '' }
      return { state: { phase: 'closed', end }, effects: [...deliver(delivered), { kind: 'close', end }] }
    }
    // before hello the controller does not count the session, so it has nothing to say but bye
    if (message.type === 'welcome' || state.phase === 'greeting') {
      return closeFor(next, 'message-unexpected', `${message.type} while ${state.phase}`)
    }
    delivered.push(message)
  }
  return { state: next, effects: deliver(delivered) }
}

const deliver = (messages: DeliveredDown[]): AgentEndEffect[] =>
  messages.length > 0 ? [{ kind: 'deliver', messages }] : []

const receiveWelcome = (
  state: Extract<Open, { phase: 'awaiting-welcome' }>,
  { frame, session, atMs }: FrameReceived
): AgentEndStep => {
  const [welcome, ...others] = frame.messages
  if (welcome?.type !== 'welcome' || others.length > 0) {
    return closeFor(state, 'message-unexpected', 'the first frame is not welcome alone')
  }
  if (welcome.clientNonce !== state.clientNonce) return closeFor(state, 'nonce-mismatch')
  if (session === null || welcome.session !== session) {
    return closeFor(state, 'session-mismatch', 'the session id is not made of the two nonces')
  }
  const channel = openChannel(session, atMs, welcome)
  const fault = faultOf(channel, frame)
  if (fault) return closeFor(state, fault.code, fault.detail)
  return {
    state: { phase: 'greeting', channel: countReceived(channel, atMs), deadlineAtMs: state.deadlineAtMs },
    effects: [{ kind: 'greet', welcome }]
  }
}

const sendHello = (
  state: Extract<Open, { phase: 'greeting' }>,
  event: Extract<AgentEndEvent, { kind: 'hello-prepared' }>
): AgentEndStep => {
  const { channel, frame } = nextFrame<UpMessage>(state.channel, [event.hello])
  return {
    state: { phase: 'established', channel },
    effects: [{ kind: 'send', frame }, { kind: 'establish' }]
  }
}

const sendMessages = (
  state: Extract<Open, { phase: 'established' }>,
  messages: readonly QueuedUp[]
): AgentEndStep => {
  let channel = state.channel
  const effects: AgentEndEffect[] = []
  for (const group of splitMessages<UpMessage>(messages)) {
    const next = nextFrame(channel, group)
    channel = next.channel
    effects.push({ kind: 'send', frame: next.frame })
  }
  return { state: { phase: 'established', channel }, effects }
}

const hear = (state: Open, atMs: number): Open =>
  state.phase === 'awaiting-welcome' ? state : { ...state, channel: countHeard(state.channel, atMs) }

const passTime = (state: Open, atMs: number): AgentEndStep => {
  if (state.phase !== 'established') {
    const isLate = atMs >= state.deadlineAtMs
    return isLate ? closeFor(state, 'silent', 'the handshake took too long') : { state, effects: [] }
  }
  switch (judgeLife(state.channel, atMs)) {
    case 'silent':
      return closeFor(state, 'silent')
    case 'ping':
      return {
        state: { ...state, channel: { ...state.channel, pingedAtMs: atMs } },
        effects: [{ kind: 'ping' }]
      }
    case 'nothing':
      return { state, effects: [] }
  }
}

const closeFor = (state: Open, code: ProtocolErrorCode, detail?: string): AgentEndStep =>
  close(state, endForFault(code, detail))

/** Says `bye` where the peer can check it: before `welcome` there is no session to sign it for. */
const close = (state: Open, end: Extract<SessionEnd, { by: 'us' }>): AgentEndStep => {
  const closed = finish(end)
  if (state.phase === 'awaiting-welcome') return closed
  const detail = end.code ?? end.detail
  const { frame } = nextFrame<UpMessage>(state.channel, [
    { type: 'bye', reason: end.reason, ...(detail !== '' && { detail }) }
  ])
  return { state: closed.state, effects: [{ kind: 'send', frame }, ...closed.effects] }
}

const finish = (end: SessionEnd): AgentEndStep => ({
  state: { phase: 'closed', end },
  effects: [{ kind: 'close', end }]
})
