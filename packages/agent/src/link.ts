// What the loops that wait need of the network, as types: a WebSocket to the controller, an HTTP exchange, a log.
// adapters/ implements them; tests bring their own.

/** An open WebSocket. Nothing here throws; after the end, calls do nothing. */
export type Connection = {
  send(text: string): void
  ping(): void
  /** Closes after what was sent before; cut off when the peer does not answer in time. */
  close(code: number, reason: string): void
  /** Bytes that the peer has not yet taken. */
  readonly bufferedBytes: number
}

/** `refused` or `lost` comes last, once; `opened` at most once before it. */
export type ConnectionListener = {
  opened(connection: Connection): void
  /** The upgrade was answered with an HTTP status instead. */
  refused(answer: { status: number; body: string }): void
  received(raw: string | Uint8Array): void
  lifeHeard(): void
  /** @param detail why, in the system's words */
  lost(detail: string): void
}

/** Opens the session's WebSocket with the assertion as bearer token. Returns its own abandonment. */
export type Dial = (assertion: string, listener: ConnectionListener) => () => void

export type HttpAnswer = { status: number; body: string }
/** Rejects when there is no answer: not reachable, not in time, too large. `path` is relative to the controller's URL. */
export type Ask = (method: 'GET' | 'POST', path: string, body?: unknown) => Promise<HttpAnswer>

/** What the loops that wait tell of themselves. */
export type LifeSigns = {
  /** The loop goes on, and says so again within this, or a minute later at the most. */
  turnsWithin(delayMs: number): void
  /** Commands can be carried out, or somebody else has to act first. Again: only the sentence changes. */
  ready(status: string): void
  /** How the agent stands to the controller. */
  status(text: string): void
}

export type Log = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
