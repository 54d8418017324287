// Can the page vouch for what it shows? Only while the stream of events is open, the lists were read since it opened, and
// the controller answers: a stream that says nothing looks the same whether nothing happens or the line is dead.

/** By two clocks: the one of the day may be set, the steady one stands still while a machine sleeps. */
export type Moment = { readonly dayMs: number; readonly steadyMs: number }

export type Connection = {
  readonly isStreamOpen: boolean
  /** What no event told, while there was no stream, was asked for. */
  readonly isCaughtUp: boolean
  readonly isAnswering: boolean
  /** When the controller was heard last, the page's clocks; null: never. */
  readonly heardAt: Moment | null
}
export type ConnectionEvent = {
  readonly kind: 'stream-opened' | 'stream-broke' | 'caught-up' | 'answered' | 'failed'
  readonly at: Moment
}

export const notConnected: Connection = {
  isStreamOpen: false,
  isCaughtUp: false,
  isAnswering: false,
  heardAt: null
}
/** The controller is asked whether it is there. */
export const heartbeatMs = 15_000
/** Two heartbeats and some: a tab that slept has to ask first. */
const silenceMs = 40_000

export const stepConnection = (connection: Connection, { kind, at }: ConnectionEvent): Connection => {
  switch (kind) {
    case 'stream-opened':
      return { isStreamOpen: true, isCaughtUp: false, isAnswering: true, heardAt: at }
    case 'caught-up':
      return { ...connection, isCaughtUp: true, isAnswering: true, heardAt: at }
    case 'answered':
      return { ...connection, isAnswering: true, heardAt: at }
    case 'stream-broke':
      return { ...connection, isStreamOpen: false, isCaughtUp: false }
    case 'failed':
      return { ...connection, isAnswering: false }
    default:
      return kind satisfies never
  }
}

export type Vouching = { state: 'connecting' } | { state: 'live' } | { state: 'lost'; silentMs: number }

export const judgeConnection = (connection: Connection, now: Moment): Vouching => {
  const { isStreamOpen, isCaughtUp, isAnswering, heardAt } = connection
  if (heardAt === null) return { state: 'connecting' }
  const silentMs = Math.max(now.dayMs - heardAt.dayMs, now.steadyMs - heardAt.steadyMs)
  if (!isStreamOpen || !isAnswering || silentMs > silenceMs) return { state: 'lost', silentMs }
  return { state: isCaughtUp ? 'live' : 'connecting' }
}

/** What was asked when, by this machine's clock, and what the controller's said meanwhile. */
type TimeAnswer = { readonly askedAtMs: number; readonly answeredAtMs: number; readonly controllerMs: number }

/**
 * The controller's clock less this machine's: the one that is known, as long as it fits. A slow answer says less.
 * @param knownMs null: none yet
 */
export const clockAhead = (
  knownMs: number | null,
  { askedAtMs, answeredAtMs, controllerMs }: TimeAnswer
): number => {
  const [least, most] = [controllerMs - answeredAtMs, controllerMs - askedAtMs]
  return knownMs !== null && knownMs >= least && knownMs <= most ? knownMs : (least + most) / 2
}
