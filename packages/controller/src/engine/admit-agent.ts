// May whoever sent this assertion open a session? Checked before the connection is upgraded, in an order in which
// nothing unverified costs more than one signature. What happens in the session is the gateway's.
import {
  type AssertionClaims,
  assertionClaims,
  checkAssertion,
  importVerifyKey,
  limits,
  ProtocolError,
  type ProtocolErrorCode,
  signJws,
  type VerifyKey,
  verifyJws
} from '@longshore/protocol'
import { decodeProtectedHeader } from 'jose'
import type { AgentRow, Clock, Store } from '../ports.ts'
import type { Installation } from './installation.ts'

export type Admission = { agent: AgentRow; key: VerifyKey; claims: AssertionClaims }

/** A refusal; `time` is the controller's signed time when the agent's clock is wrong. */
export class AdmissionRefused extends ProtocolError {
  readonly time: string | undefined
  constructor(code: ProtocolErrorCode, detail: string, time: string | undefined) {
    super(code, detail)
    this.time = time
  }
}

export type AdmitAgent = (assertion: string) => Promise<Admission>

/** @returns rejects with ProtocolError, `clock-skew` as AdmissionRefused */
export const createAdmission = (ports: {
  store: Store
  clock: Clock
  installation: Installation
}): AdmitAgent => {
  const { store, clock, installation } = ports
  const seen = createSeenAssertions()
  return async (assertion) => {
    const { agent, key } = await findAgent(store, assertion)
    const keyOf = (kid: string) => (kid === key.kid ? key : undefined)
    const claims = await verifyJws('assertion', assertion, keyOf, assertionClaims)
    const nowMs = clock.nowMs()
    await demandFresh(installation, claims, { kid: key.kid, nowMs, hasSeen: (jti) => seen.has(jti, nowMs) })
    seen.add(claims.jti, nowMs)
    demandActive(agent)
    return { agent, key, claims }
  }
}

/** Whose signature it claims to be; nothing of it is verified yet. @throws ProtocolError `unknown-agent` */
export const findAgent = async (store: Store, jws: string): Promise<{ agent: AgentRow; key: VerifyKey }> => {
  const agent = await store.agentByThumbprint(kidOf(jws))
  if (agent === undefined) throw new ProtocolError('unknown-agent', 'register it with a join token')
  return { agent, key: await importVerifyKey(agent.publicJwk) }
}

/** @throws ProtocolError; `clock-skew` as AdmissionRefused */
export const demandFresh = async (
  { id, key }: Installation,
  claims: Parameters<typeof checkAssertion>[0],
  now: { kid: string; nowMs: number; hasSeen: (jti: string) => boolean }
): Promise<void> => {
  try {
    checkAssertion(claims, { installation: id, ...now })
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code !== 'clock-skew') throw error
    const time = await signJws('time', { nowMs: now.nowMs, jti: claims.jti }, key)
    throw new AdmissionRefused('clock-skew', error.message, time)
  }
}

/** Unverified: names the key under which the signature is then checked. */
const kidOf = (jws: string): string => {
  if (jws.length > limits.maxTokenBytes) throw new ProtocolError('frame-too-large')
  try {
    const { kid } = decodeProtectedHeader(jws)
    if (typeof kid === 'string') return kid
  } catch (cause) {
    throw new ProtocolError('frame-malformed', 'no JWS of an agent', { cause })
  }
  throw new ProtocolError('key-unknown')
}

const demandActive = ({ state, stateReason }: AgentRow): void => {
  if (state === 'active') return
  throw new ProtocolError(state, stateReason ?? undefined)
}

/** Assertions are accepted within the skew on both sides of now, so each is remembered for twice that long. */
const createSeenAssertions = () => {
  const untilMs = new Map<string, number>()
  return {
    has: (jti: string, nowMs: number): boolean => (untilMs.get(jti) ?? 0) > nowMs,
    /** Oldest first by insertion: what has run out stands in front. */
    add: (jti: string, nowMs: number): void => {
      for (const [old, until] of untilMs) {
        if (until > nowMs) break
        untilMs.delete(old)
      }
      untilMs.set(jti, nowMs + 2 * limits.maxClockSkewMs)
    }
  }
}
