// A version of the agent that is tried beside the one that serves: can it read what that one left, ask the engine, and
// be answered by the controller? It takes no lock, writes nothing and ends; its session never counts.
import type { HelloMessage, ReconnectReason } from '@longshore/protocol'
import { AgentExit } from './exit-codes.ts'
import type { LifeSigns } from './link.ts'
import { openSession, type SessionListener, type SessionParty, type SessionPorts } from './session.ts'

/** The first argument of such a process. */
export const candidateOption = '--candidate'

/** A controller that is just starting anew is waited for; less than the agent waits for this process. */
const limitMs = 45_000
const retryMs = 500
/** Another session may be refused for a clock that has to be learnt first. */
const maxLearnt = 2
/** What passes by itself, other than a refusal. */
const passing: readonly ReconnectReason[] = ['lost', 'reconnect', 'stopping']

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
  const { clock } = given
  const endMs = clock.monotonicMs() + limitMs
  let clockOffsetMs = 0
  for (let learntTimes = 0; ; ) {
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
    const why = detail === '' ? reason : `${reason}: ${detail}`
    const isLearnt = learnt !== null && learntTimes < maxLearnt
    const mayPass = passing.includes(reason) && clock.monotonicMs() < endMs
    if (!isLearnt && !mayPass)
      throw new AgentExit('not-enrolled', `the controller does not answer it (${why})`)
    if (isLearnt) {
      learntTimes += 1
      clockOffsetMs = learnt
    } else await new Promise<void>((resolve) => clock.after(retryMs, resolve))
  }
}
