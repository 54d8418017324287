// Which of two connections of one key counts? Runs the protocol's decision, one per agent, with its probe and time
// limit. What then happens to a connection is the gateway's.
import {
  type AgentId,
  beginDuplicate,
  type DuplicateEffect,
  type DuplicateEvent,
  type DuplicateState,
  type DuplicateStep,
  stepDuplicate
} from '@longshore/protocol'
import type { Clock } from '../../ports.ts'

export type Duplicates = {
  /** `second` has said hello while `first` is the agent's session. */
  arrived(agent: AgentId, connections: { first: string; second: string }): void
  /** Anything was heard from the connection. */
  alive(agent: AgentId, connection: string): void
  ended(agent: AgentId, connection: string): void
}

/**
 * @param clock one that never jumps
 * @param carryOut what is to be done to a connection, which may be over by then
 */
export const createDuplicates = (clock: Clock, carryOut: (effect: DuplicateEffect) => void): Duplicates => {
  const running = new Map<AgentId, { state: DuplicateState; cancelTimer: () => void }>()

  const follow = (agent: AgentId, { state, effects }: DuplicateStep): void => {
    running.get(agent)?.cancelTimer()
    running.delete(agent)
    if (state.phase === 'probing') {
      const wake = (): void => tell(agent, { kind: 'time-passed', atMs: clock.nowMs() })
      running.set(agent, { state, cancelTimer: clock.at(state.untilAtMs, wake) })
    }
    for (const effect of effects) carryOut(effect)
  }
  const tell = (agent: AgentId, event: DuplicateEvent): void => {
    const decision = running.get(agent)
    if (decision !== undefined) follow(agent, stepDuplicate(decision.state, event))
  }
  return {
    arrived: (agent, { first, second }) => {
      const atMs = clock.nowMs()
      if (running.has(agent)) tell(agent, { kind: 'session-established', atMs, connection: second })
      else follow(agent, beginDuplicate({ first, second, atMs }))
    },
    alive: (agent, connection) => tell(agent, { kind: 'life-heard', atMs: clock.nowMs(), connection }),
    ended: (agent, connection) => tell(agent, { kind: 'connection-ended', atMs: clock.nowMs(), connection })
  }
}
