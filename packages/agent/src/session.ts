// One session, from the assertion to its end: carries out what the protocol's machine decides, over one
// WebSocket. When to come back is decided by whoever opened it (stay-connected.ts).
import {
  type AgentEndEffect,
  type AgentEndEvent,
  type AgentEndState,
  type AssertionClaims,
  agentEndDueAtMs,
  beginAgentEnd,
  clockOffsetOf,
  closeFrameOf,
  createAgentCodec,
  type DeliveredDown,
  type FrameCodec,
  type HelloMessage,
  type InstallationId,
  limits,
  newNonce,
  protocolMinor,
  type QueuedUp,
  type ReconnectReason,
  reconnectReasonOf,
  type SessionEnd,
  type SigningKey,
  signJws,
  stepAgentEnd,
  timeClaims,
  type UpFrame,
  type VerifyKey,
  verifyJws,
  type WelcomeMessage
} from '@longshore/protocol'
import type { Connection, Dial, HttpAnswer, Log } from './link.ts'
import type { Clock } from './ports.ts'
import { readProblem } from './read-problem.ts'

export type SessionPorts = {
  dial: Dial
  clock: Clock
  log: Log
  randomBytes: (count: number) => Uint8Array
}
export type SessionParty = {
  signing: SigningKey
  installation: InstallationId
  keyOf: (kid: string) => VerifyKey | undefined
  /** What to add to the host's clock, as a refusal taught it. */
  clockOffsetMs: number
}
/** What the session asks of the agent and tells it. */
export type SessionListener = {
  greet(welcome: WelcomeMessage): Promise<HelloMessage>
  established(session: Session, welcome: WelcomeMessage): void
  delivered(messages: readonly DeliveredDown[]): void
}
export type Session = {
  /** Dropped unless the session is established. */
  queue(messages: readonly QueuedUp[]): void
  /** Says bye and closes. */
  stop(): void
  readonly bufferedBytes: number
}
export type SessionOutcome = {
  reason: ReconnectReason
  detail: string
  /** From `welcome` to the end; null: it was never established. */
  lastedMs: number | null
  /** Taught by a refusal for clock-skew, signed by the controller. */
  clockOffsetMs: number | null
}

const capabilities: readonly string[] = ['resolve', 'stage', 'release', 'revert', 'settle', 'remove']

/** @returns the session, of use at once for `stop`; `ended` never rejects */
export const openSession = (
  ports: SessionPorts,
  party: SessionParty,
  listener: SessionListener
): { session: Session; ended: Promise<SessionOutcome> } => {
  const { clock, log } = ports
  const ended = Promise.withResolvers<SessionOutcome>()
  const clientNonce = newNonce(ports.randomBytes(16))
  const jti = newNonce(ports.randomBytes(16))
  let state: AgentEndState | undefined
  let connection: Connection | undefined
  let abandon: (() => void) | undefined
  let welcome: WelcomeMessage | undefined
  let establishedAtMs: number | null = null
  let cancelTimer = (): void => {}
  let lossDetail = ''
  let isStopped = false

  const end = (outcome: Omit<SessionOutcome, 'lastedMs'>): void => {
    cancelTimer()
    const lastedMs = establishedAtMs === null ? null : clock.monotonicMs() - establishedAtMs
    ended.resolve({ ...outcome, lastedMs })
  }
  const step = (event: AgentEndEvent): void => {
    if (state === undefined) return
    const next = stepAgentEnd(state, event)
    state = next.state
    for (const effect of next.effects) carryOut(effect)
    setTimer()
  }
  const setTimer = (): void => {
    cancelTimer()
    const dueAtMs = state && agentEndDueAtMs(state)
    if (dueAtMs === undefined) return
    const delayMs = Math.max(0, Math.ceil(dueAtMs - clock.monotonicMs()))
    cancelTimer = clock.after(delayMs, () => step({ kind: 'time-passed', atMs: clock.monotonicMs() }))
  }
  const carryOut = (effect: AgentEndEffect): void => {
    switch (effect.kind) {
      case 'send':
        codec.send(effect.frame)
        break
      case 'ping':
        connection?.ping()
        break
      case 'greet':
        welcome = effect.welcome
        void greet(effect.welcome)
        break
      case 'establish':
        establishedAtMs = clock.monotonicMs()
        if (welcome !== undefined) listener.established(session, welcome)
        break
      case 'deliver':
        listener.delivered(effect.messages)
        break
      case 'close':
        void closeAfterSending(effect.end)
        break
      default:
        effect satisfies never
    }
  }
  const greet = async (from: WelcomeMessage): Promise<void> => {
    try {
      step({ kind: 'hello-prepared', hello: await listener.greet(from), atMs: clock.monotonicMs() })
    } catch (error) {
      log.error({ err: error }, 'the hello of the session cannot be put together')
      step({ kind: 'close-wanted', reason: 'stopping', detail: '', atMs: clock.monotonicMs() })
    }
  }
  const closeAfterSending = async (how: SessionEnd): Promise<void> => {
    codec.stopReceiving()
    await codec.flushed()
    const { code, reason } = closeFrameOf(how)
    connection?.close(code, reason)
    const detail = how.by === 'loss' ? lossDetail : how.detail
    end({ reason: reconnectReasonOf(how), detail, clockOffsetMs: null })
  }
  const codec: FrameCodec<UpFrame['messages'][number]> = createAgentCodec(
    { key: party.signing, keyOf: party.keyOf, nowMs: clock.nowMs, clientNonce },
    {
      received: ({ frame, session }) =>
        step({ kind: 'frame-received', frame, session, atMs: clock.monotonicMs() }),
      signed(jws) {
        connection?.send(jws)
        if (connection === undefined || connection.bufferedBytes <= 4 * limits.maxBufferedBytes) return
        step({ kind: 'frame-refused', code: 'overloaded', detail: '', atMs: clock.monotonicMs() })
      },
      failed: (error) =>
        step({ kind: 'frame-refused', code: error.code, detail: error.message, atMs: clock.monotonicMs() })
    }
  )
  const session: Session = {
    queue: (messages) => step({ kind: 'messages-queued', messages, atMs: clock.monotonicMs() }),
    stop() {
      isStopped = true
      step({ kind: 'close-wanted', reason: 'stopping', detail: '', atMs: clock.monotonicMs() })
      if (connection !== undefined) return
      abandon?.()
      end({ reason: 'stopping', detail: '', clockOffsetMs: null })
    },
    get bufferedBytes() {
      return connection?.bufferedBytes ?? 0
    }
  }
  const dial = (assertion: string): void => {
    if (isStopped) return
    abandon = ports.dial(assertion, {
      opened(opened) {
        connection = opened
        state = beginAgentEnd({ clientNonce, atMs: clock.monotonicMs() })
        setTimer()
      },
      refused: (answer) => void readRefusal(answer, party, jti, clock).then(end),
      received: (raw) => codec.receive(raw),
      lifeHeard: () => step({ kind: 'life-heard', atMs: clock.monotonicMs() }),
      lost(detail) {
        lossDetail = detail
        if (state === undefined) end({ reason: 'lost', detail, clockOffsetMs: null })
        else step({ kind: 'connection-lost', atMs: clock.monotonicMs() })
      }
    })
  }
  const claims: AssertionClaims = {
    installation: party.installation,
    key: party.signing.kid,
    jti,
    issuedAtMs: clock.nowMs() + party.clockOffsetMs,
    minor: protocolMinor,
    capabilities: [...capabilities],
    nonce: clientNonce
  }
  signJws('assertion', claims, party.signing).then(dial, (error: unknown) =>
    end({ reason: 'lost', detail: String(error), clockOffsetMs: null })
  )
  return { session, ended: ended.promise }
}

/** Believes a refusal's time only under the controller's signature; its code at most delays the agent. */
const readRefusal = async (
  answer: HttpAnswer,
  party: SessionParty,
  jti: string,
  clock: Clock
): Promise<Omit<SessionOutcome, 'lastedMs'>> => {
  const { code, detail, time } = readProblem(answer)
  const refused = { reason: code ?? ('lost' as const), detail, clockOffsetMs: null }
  if (code !== 'clock-skew' || time === null) return refused
  try {
    const signedTime = await verifyJws('time', time, party.keyOf, timeClaims)
    return { ...refused, clockOffsetMs: clockOffsetOf(signedTime, { jti, nowMs: clock.nowMs() }) }
  } catch {
    return { ...refused, detail: `${detail} (the controller's time is not signed by a known key)` }
  }
}
