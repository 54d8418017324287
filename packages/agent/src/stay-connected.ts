// Keeps the agent in a session for as long as it runs: opens one, learns from its end, waits as long as the
// protocol says, opens the next. What travels in the sessions is the listener's business.
import { decideReconnect, type ReconnectReason } from '@longshore/protocol'
import { adviseSession } from './core/judge-refusal.ts'
import { pause } from './enrol.ts'
import type { Log } from './link.ts'
import type { Clock } from './ports.ts'
import {
  openSession,
  type SessionListener,
  type SessionOutcome,
  type SessionParty,
  type SessionPorts
} from './session.ts'

export type Connected = {
  /** Clock offset that refusals have taught so far is filled in by the loop. */
  party: () => Omit<SessionParty, 'clockOffsetMs'>
  hostName: string
  listener: SessionListener
  /** A session has ended: nothing queued reaches it any more. */
  disconnected(): void
  /** The controller signed with a key not known here: its chain may have grown. Never rejects. */
  refreshKeys(): Promise<void>
  /** The controller does not know this agent: register again if that is possible. Never rejects. */
  registerAgain(): Promise<void>
}

type Ports = SessionPorts & { random: () => number; log: Log; clock: Clock }

/** Resolves when the signal was aborted and the last session has said bye. */
export const stayConnected = async (ports: Ports, agent: Connected, signal: AbortSignal): Promise<void> => {
  let attempt = 0
  let clockOffsetMs = 0
  let lastReason: ReconnectReason | null = null
  while (!signal.aborted) {
    ports.signs.turnsWithin(0)
    const outcome = await holdSession(ports, { ...agent.party(), clockOffsetMs }, agent, signal)
    if (signal.aborted) return
    // only the first refusal in a row is answered at once: two would make a tight loop
    const isCorrected = outcome.clockOffsetMs !== null && lastReason !== 'clock-skew'
    clockOffsetMs = outcome.clockOffsetMs ?? clockOffsetMs
    lastReason = outcome.reason
    const { reason, lastedMs: lastSessionMs } = outcome
    const next = decideReconnect({ attempt, lastSessionMs, reason, random: ports.random() })
    attempt = next.attempt
    const delayMs = isCorrected ? 0 : next.delayMs
    tell(ports, outcome, agent.hostName, delayMs)
    await followUp(agent, reason)
    ports.signs.turnsWithin(delayMs)
    await pause(ports.clock, delayMs, signal).catch(() => undefined)
  }
}

const holdSession = async (
  ports: Ports,
  party: SessionParty,
  agent: Connected,
  signal: AbortSignal
): Promise<SessionOutcome> => {
  const { session, ended } = openSession(ports, party, agent.listener)
  const stop = (): void => session.stop()
  signal.addEventListener('abort', stop, { once: true })
  const outcome = await ended
  signal.removeEventListener('abort', stop)
  agent.disconnected()
  return outcome
}

const followUp = async (agent: Connected, reason: ReconnectReason): Promise<void> => {
  if (reason === 'key-unknown') await agent.refreshKeys()
  if (reason === 'unknown-agent') await agent.registerAgain()
}

const tell = ({ log, signs }: Ports, outcome: SessionOutcome, hostName: string, delayMs: number): void => {
  const advice = adviseSession(outcome.reason, hostName)
  const { reason, detail, lastedMs, clockOffsetMs } = outcome
  const fields = {
    reason,
    detail,
    lastedMs,
    delayMs,
    ...(clockOffsetMs !== null && { clockSkewMs: -clockOffsetMs })
  }
  const words = lastedMs === null ? 'no session with the controller' : 'the session has ended'
  log.warn(fields, advice === undefined ? words : `${words}: ${advice}`)
  signs.status(`not connected to the controller (${reason})${advice === undefined ? '' : `: ${advice}`}`)
}
