// The goodbye for good: tells the controller that this host is taken out of service, signed with the agent's own key.
// What is then forgotten on the host is the caller's business; so is the lock that keeps a running agent away.
import { newNonce, type SigningKey, signJws } from '@longshore/protocol'
import { AgentExit } from './exit-codes.ts'
import type { Identity } from './identity.ts'
import type { Ask, Log } from './link.ts'
import type { Clock } from './ports.ts'
import { readRefusal, type SessionParty } from './session.ts'

export type LeavePorts = {
  ask: Ask
  clock: Pick<Clock, 'nowMs'>
  log: Log
  randomBytes: (count: number) => Uint8Array
}
export type LeaveParty = {
  identity: Pick<Identity, 'installation' | 'agent'>
  signing: SigningKey
  keyOf: SessionParty['keyOf']
}

/** Refusals of a controller for which this host is no agent any more: what was asked for is so already. */
const goneCodes: readonly string[] = ['unknown-agent', 'revoked']

/** @throws AgentExit `still-registered` when the controller does not answer, or refuses */
export const leave = async (ports: LeavePorts, party: LeaveParty): Promise<void> => {
  const { agent } = party.identity
  const first = await sayGoodbye(ports, party, 0)
  const clockOffsetMs = first === null ? null : first.clockOffsetMs
  const refusal = clockOffsetMs === null ? first : await sayGoodbye(ports, party, clockOffsetMs)
  if (refusal === null) return ports.log.info({ agent }, 'this host has left')
  const { reason, detail } = refusal
  if (!goneCodes.includes(reason)) throw stillRegistered(`${reason}: ${detail}`)
  ports.log.info({ agent, reason }, 'the controller did not count this host any more')
}

/** @returns null: it has left */
const sayGoodbye = async (
  { ask, clock, randomBytes }: LeavePorts,
  { identity, signing, keyOf }: LeaveParty,
  clockOffsetMs: number
): Promise<Awaited<ReturnType<typeof readRefusal>> | null> => {
  const jti = newNonce(randomBytes(16))
  const issuedAtMs = clock.nowMs() + clockOffsetMs
  const claims = { installation: identity.installation, key: signing.kid, jti, issuedAtMs }
  const request = await signJws('leave', claims, signing)
  const answer = await ask('POST', '/v1/agents/leave', { request }).catch((cause: Error) => {
    throw stillRegistered(`the controller does not answer: ${cause.message}`)
  })
  if (answer.status >= 200 && answer.status < 300) return null
  return readRefusal(answer, { keyOf }, jti, clock)
}

const stillRegistered = (why: string): AgentExit =>
  new AgentExit(
    'still-registered',
    `this host is still registered: ${why}. Try again, or remove it with \`longshore agents remove\``
  )
