// One session, from the assertion to its end: carries out what the protocol's machine decides, over one
// WebSocket. When to come back is decided by whoever opened it (stay-connected.ts).
import {
  type AgentEndEffect,
  type AgentEndEvent,
  type AgentEndState,
  type AssertionClaims,
  agentCapabilities,
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
import type { Connection, Dial, HttpAnswer, LifeSigns, Log } from './link.ts'
import type { Clock } from './ports.ts'
import { readProblem } from './read-problem.ts'

export type SessionPorts = {
  dial: Dial
  clock: Clock
  log: Log
  randomBytes: (count: number) => Uint8Array
  signs: LifeSigns
}
export type SessionParty = {
  signing: SigningKey
  installation: InstallationId
  keyOf: (kid: string) => VerifyKey | undefined
  /** What to add to the host's clock, as a refusal taught it. */
  clockOffsetMs: number
  /** It is tried beside the agent. */
  isCandidate?: boolean
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
  /** Frames that wait for their signature. */
  readonly unsentFrames: number
}
export type SessionOutcome = {
  reason: ReconnectReason
  detail: string
  /** From `welcome` to the end; null: it was never established. */
  lastedMs: number | null
  /** Taught by a refusal for clock-skew, signed by the controller. */
  clockOffsetMs: number | null
}

/** Beyond what progress and reports fill by themselves: a controller that does not read. */
const maxUnsentBytes = 4 * limits.maxBufferedBytes

/** @returns the session, of use at once for `stop`; `ended` never rejects */
export const openSession = (
  ports: SessionPorts,
  party: SessionParty,
  listener: SessionListener
): { session: Session; ended: Promise<SessionOutcome> } => {
  const session = new OpenSession(ports, party, listener)
  return { session, ended: session.ended }
}

/** The machine's state, and around it the socket, the codec and the timer that carry its effects out. */
class OpenSession implements Session {
  readonly #ports: SessionPorts
  readonly #party: SessionParty
  readonly #listener: SessionListener
  readonly #clientNonce: string
  readonly #jti: string
  readonly #codec: FrameCodec<UpFrame['messages'][number]>
  readonly #ended = Promise.withResolvers<SessionOutcome>()
  #state: AgentEndState | undefined
  #connection: Connection | undefined
  #abandonDial: (() => void) | undefined
  #welcome: WelcomeMessage | undefined
  #establishedAtMs: number | null = null
  #cancelTimer = (): void => {}
  #lossDetail = ''
  #isStopped = false

  constructor(ports: SessionPorts, party: SessionParty, listener: SessionListener) {
    this.#ports = ports
    this.#party = party
    this.#listener = listener
    this.#clientNonce = newNonce(ports.randomBytes(16))
    this.#jti = newNonce(ports.randomBytes(16))
    this.#codec = this.#createCodec()
    this.#assert().then(
      (assertion) => this.#dial(assertion),
      (error: unknown) => this.#end({ reason: 'lost', detail: String(error), clockOffsetMs: null })
    )
  }

  get ended(): Promise<SessionOutcome> {
    return this.#ended.promise
  }

  get bufferedBytes(): number {
    return this.#connection?.bufferedBytes ?? 0
  }

  get unsentFrames(): number {
    return this.#codec.sendingFrames
  }

  queue(messages: readonly QueuedUp[]): void {
    this.#step({ kind: 'messages-queued', messages, atMs: this.#nowMs() })
  }

  stop(): void {
    this.#isStopped = true
    this.#step({ kind: 'close-wanted', reason: 'stopping', detail: '', atMs: this.#nowMs() })
    if (this.#connection !== undefined) return
    this.#abandonDial?.()
    this.#end({ reason: 'stopping', detail: '', clockOffsetMs: null })
  }

  #nowMs(): number {
    return this.#ports.clock.monotonicMs()
  }

  #assert(): Promise<string> {
    const { installation, signing, clockOffsetMs, isCandidate } = this.#party
    const claims: AssertionClaims = {
      installation,
      key: signing.kid,
      jti: this.#jti,
      issuedAtMs: this.#ports.clock.nowMs() + clockOffsetMs,
      minor: protocolMinor,
      capabilities: [...agentCapabilities],
      nonce: this.#clientNonce,
      ...(isCandidate === true && { isCandidate })
    }
    return signJws('assertion', claims, signing)
  }

  #dial(assertion: string): void {
    if (this.#isStopped) return
    this.#abandonDial = this.#ports.dial(assertion, {
      opened: (connection) => {
        this.#connection = connection
        this.#state = beginAgentEnd({ clientNonce: this.#clientNonce, atMs: this.#nowMs() })
        this.#setTimer()
      },
      refused: (answer) =>
        void readRefusal(answer, this.#party, this.#jti, this.#ports.clock).then((outcome) =>
          this.#end(outcome)
        ),
      received: (raw) => this.#codec.receive(raw),
      lifeHeard: () => this.#step({ kind: 'life-heard', atMs: this.#nowMs() }),
      lost: (detail) => {
        this.#lossDetail = detail
        if (this.#state === undefined) this.#end({ reason: 'lost', detail, clockOffsetMs: null })
        else this.#step({ kind: 'connection-lost', atMs: this.#nowMs() })
      }
    })
  }

  #createCodec(): FrameCodec<UpFrame['messages'][number]> {
    const { signing: key, keyOf } = this.#party
    return createAgentCodec(
      { key, keyOf, nowMs: this.#ports.clock.nowMs, clientNonce: this.#clientNonce },
      {
        received: ({ frame, session }) =>
          this.#step({ kind: 'frame-received', frame, session, atMs: this.#nowMs() }),
        signed: (jws) => this.#send(jws),
        failed: ({ code, message }) =>
          this.#step({ kind: 'frame-refused', code, detail: message, atMs: this.#nowMs() })
      }
    )
  }

  #send(jws: string): void {
    this.#connection?.send(jws)
    if (this.bufferedBytes <= maxUnsentBytes) return
    this.#step({ kind: 'frame-refused', code: 'overloaded', detail: '', atMs: this.#nowMs() })
  }

  #step(event: AgentEndEvent): void {
    if (this.#state === undefined) return
    const next = stepAgentEnd(this.#state, event)
    this.#state = next.state
    for (const effect of next.effects) this.#carryOut(effect)
    this.#setTimer()
  }

  #setTimer(): void {
    this.#cancelTimer()
    const dueAtMs = this.#state && agentEndDueAtMs(this.#state)
    if (dueAtMs === undefined) return
    const delayMs = Math.max(0, Math.ceil(dueAtMs - this.#nowMs()))
    this.#ports.signs.turnsWithin(delayMs)
    this.#cancelTimer = this.#ports.clock.after(delayMs, () =>
      this.#step({ kind: 'time-passed', atMs: this.#nowMs() })
    )
  }

  #carryOut(effect: AgentEndEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#codec.send(effect.frame)
        break
      case 'ping':
        this.#connection?.ping()
        break
      case 'greet':
        this.#welcome = effect.welcome
        void this.#greet(effect.welcome)
        break
      case 'establish':
        this.#establishedAtMs = this.#nowMs()
        this.#ports.signs.status('connected to the controller')
        if (this.#welcome !== undefined) this.#listener.established(this, this.#welcome)
        break
      case 'deliver':
        this.#listener.delivered(effect.messages)
        break
      case 'close':
        void this.#closeAfterSending(effect.end)
        break
      default:
        effect satisfies never
    }
  }

  async #greet(welcome: WelcomeMessage): Promise<void> {
    try {
      const hello = await this.#listener.greet(welcome)
      this.#step({ kind: 'hello-prepared', hello, atMs: this.#nowMs() })
    } catch (error) {
      this.#ports.log.error({ err: error }, 'the hello of the session cannot be put together')
      this.#step({ kind: 'close-wanted', reason: 'stopping', detail: '', atMs: this.#nowMs() })
    }
  }

  async #closeAfterSending(how: SessionEnd): Promise<void> {
    this.#codec.stopReceiving()
    await this.#codec.flushed()
    const { code, reason } = closeFrameOf(how)
    this.#connection?.close(code, reason)
    const detail = how.by === 'loss' ? this.#lossDetail : how.detail
    this.#end({ reason: reconnectReasonOf(how), detail, clockOffsetMs: null })
  }

  #end(outcome: Omit<SessionOutcome, 'lastedMs'>): void {
    this.#cancelTimer()
    const lastedMs = this.#establishedAtMs === null ? null : this.#nowMs() - this.#establishedAtMs
    this.#ended.resolve({ ...outcome, lastedMs })
  }
}

/** Believes a refusal's time only under the controller's signature; its code at most delays the agent. */
export const readRefusal = async (
  answer: HttpAnswer,
  party: Pick<SessionParty, 'keyOf'>,
  jti: string,
  clock: Pick<Clock, 'nowMs'>
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
