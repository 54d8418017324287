// Can the page vouch for what it shows? Only while the stream of events is open and the controller answers: a
// stream that says nothing looks the same whether nothing happens or the line is dead.

export type Connection = {
  readonly isStreamOpen: boolean
  readonly isAnswering: boolean
  /** When the controller was heard last, the page's clock; null: never. */
  readonly heardAtMs: number | null
}
export type ConnectionEvent = {
  readonly kind: 'stream-opened' | 'stream-broke' | 'answered' | 'failed'
  readonly atMs: number
}

export const notConnected: Connection = { isStreamOpen: false, isAnswering: false, heardAtMs: null }
/** The controller is asked whether it is there. */
export const heartbeatMs = 15_000
/** Two heartbeats and some: a tab that slept has to ask first. */
const silenceMs = 40_000

export const stepConnection = (connection: Connection, { kind, atMs }: ConnectionEvent): Connection => {
  switch (kind) {
    case 'stream-opened':
      return { isStreamOpen: true, isAnswering: true, heardAtMs: atMs }
    case 'answered':
      return { ...connection, isAnswering: true, heardAtMs: atMs }
    case 'stream-broke':
      return { ...connection, isStreamOpen: false }
    case 'failed':
      return { ...connection, isAnswering: false }
    default:
      return kind satisfies never
  }
}

export type Vouching = { state: 'connecting' } | { state: 'live' } | { state: 'lost'; sinceMs: number }

export const judgeConnection = (connection: Connection, nowMs: number): Vouching => {
  const { isStreamOpen, isAnswering, heardAtMs } = connection
  if (heardAtMs === null) return { state: 'connecting' }
  if (isStreamOpen && isAnswering && nowMs - heardAtMs <= silenceMs) return { state: 'live' }
  return { state: 'lost', sinceMs: heardAtMs }
}
