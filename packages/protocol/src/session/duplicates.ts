// Which of two sessions of one key stays: the first if it is alive, else the second. Both have sent a valid
// signed frame, so a replayed assertion never gets here. A cloned disk looks like this, and so does an agent that
// came back before its old connection was noticed dead.
import { duplicateProbeMs } from '../limits.ts'

/** `first` and `second` are names that the caller gives to its connections. */
export type DuplicateState =
  | { readonly phase: 'probing'; readonly first: string; readonly second: string; readonly untilAtMs: number }
  | { readonly phase: 'decided'; readonly kept: string | null }

/** `atMs`: a clock that never jumps. */
export type DuplicateEvent =
  /** Anything from a connection: frame, ping or pong. */
  | { readonly kind: 'life-heard'; readonly atMs: number; readonly connection: string }
  | { readonly kind: 'connection-ended'; readonly atMs: number; readonly connection: string }
  /** Yet another session of the key was established. */
  | { readonly kind: 'session-established'; readonly atMs: number; readonly connection: string }
  /** At or after `untilAtMs`. */
  | { readonly kind: 'time-passed'; readonly atMs: number }

export type DuplicateEffect =
  | { readonly kind: 'probe'; readonly connection: string }
  /** The connection is the agent's session from now on. */
  | { readonly kind: 'admit'; readonly connection: string }
  /** `bye(replaced)`: it did not answer. */
  | { readonly kind: 'replace'; readonly connection: string }
  /** `duplicate-session`, and an alert: two machines use one key. */
  | { readonly kind: 'refuse'; readonly connection: string }

export type DuplicateStep = {
  readonly state: DuplicateState
  readonly effects: readonly DuplicateEffect[]
}

/** While `first` is the session of a key, `second` was established with the same key. */
export const beginDuplicate = (sessions: { first: string; second: string; atMs: number }): DuplicateStep => ({
  state: {
    phase: 'probing',
    first: sessions.first,
    second: sessions.second,
    untilAtMs: sessions.atMs + duplicateProbeMs
  },
  effects: [{ kind: 'probe', connection: sessions.first }]
})

/** One event. Once decided, events change nothing. */
export const stepDuplicate = (state: DuplicateState, event: DuplicateEvent): DuplicateStep => {
  if (state.phase === 'decided') return { state, effects: [] }
  switch (event.kind) {
    case 'life-heard':
      return event.connection === state.first ? keepFirst(state) : { state, effects: [] }
    case 'connection-ended':
      return endConnection(state, event.connection)
    case 'session-established':
      return { state, effects: [{ kind: 'refuse', connection: event.connection }] }
    case 'time-passed':
      return event.atMs >= state.untilAtMs ? admitSecond(state, true) : { state, effects: [] }
    default:
      return event satisfies never
  }
}

type Probing = Extract<DuplicateState, { phase: 'probing' }>

const keepFirst = ({ first, second }: Probing): DuplicateStep => ({
  state: { phase: 'decided', kept: first },
  effects: [{ kind: 'refuse', connection: second }]
})

const admitSecond = ({ first, second }: Probing, isFirstOpen: boolean): DuplicateStep => ({
  state: { phase: 'decided', kept: second },
  effects: [
    ...(isFirstOpen ? [{ kind: 'replace', connection: first } as const] : []),
    { kind: 'admit', connection: second }
  ]
})

/** Without the second there is nothing to decide: the first is judged by its own silence limit again. */
const endConnection = (state: Probing, connection: string): DuplicateStep => {
  if (connection === state.first) return admitSecond(state, false)
  if (connection === state.second) return { state: { phase: 'decided', kept: state.first }, effects: [] }
  return { state, effects: [] }
}
