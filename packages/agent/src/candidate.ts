// A version of the agent that is tried beside the one that serves: can it read what that one left, ask the engine, and
// be answered by the controller? It takes no lock, writes nothing and ends; its session never counts.
import type { HelloMessage } from '@longshore/protocol'
import { AgentExit } from './exit-codes.ts'
import type { LifeSigns } from './link.ts'
import { openSession, type SessionListener, type SessionParty, type SessionPorts } from './session.ts'

/** The first argument of such a process. */
export const candidateOption = '--candidate'

/** Another session may be refused for a clock that has to be learnt first. */
const maxSessions = 3

/** The supervisor hears the agent. */
const silent: LifeSigns = { turnsWithin() {}, ready() {}, status() {} }

/**
 * Resolves once the controller has answered.
 * @throws AgentExit `not-enrolled` with why it did not
 */
export const proveCandidate = async (
  given: Omit<SessionPorts, 'signs'>,
  party: Omit<SessionParty, 'clockOffsetMs' | 'isCandidate'>,
  hello: HelloMessage
): Promise<void> => {
  const ports = { ...given, signs: silent }
  let clockOffsetMs = 0
  let why = ''
  for (let attempt = 1; attempt <= maxSessions; attempt += 1) {
    let isAnswered = false
    const listener: SessionListener = {
      greet: async () => hello,
      established: () => undefined,
      delivered: () => {
        isAnswered = true
        session.stop()
      }
    }
    const { session, ended } = openSession(ports, { ...party, clockOffsetMs, isCandidate: true }, listener)
    const { reason, detail, clockOffsetMs: learnt } = await ended
    if (isAnswered) return
    why = detail === '' ? reason : `${reason}: ${detail}`
    if (learnt === null) break
    clockOffsetMs = learnt
  }
  throw new AgentExit('not-enrolled', `the controller does not answer it (${why})`)
}
