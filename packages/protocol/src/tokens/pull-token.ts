// The pull token: how an agent says who it is to the controller's image store. A JWT (RFC 7519) signed with the
// agent's own key, made by the agent when it needs one and good for minutes. It only lets images be read. Whether
// the agent is registered and not revoked is left to the controller.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import { type AgentId, agentId, type InstallationId, installationId } from '../ids.ts'
import { readUnverified, signJws, verifyJws } from '../jws.ts'
import type { SigningKey, VerifyKey } from '../keys.ts'
import { maxClockSkewMs, maxPullTokenMs } from '../limits.ts'

/** Registered names of RFC 7519 section 4.1; times in whole seconds since 1970, as it demands. */
export const pullClaims = z.object({
  /** The agent that asks. */
  iss: agentId,
  /** The installation whose controller is asked. */
  aud: installationId,
  iat: z.int(),
  exp: z.int()
})
export type PullClaims = z.infer<typeof pullClaims>

/**
 * @param claims.nowMs the controller's time as the agent knows it from its session; its own clock before that
 * @param claims.lifetimeMs at most `maxPullTokenMs`, which is also the default
 * @param key the agent's registered key
 */
export const signPullToken = (
  claims: { agent: AgentId; installation: InstallationId; nowMs: number; lifetimeMs?: number },
  key: SigningKey
): Promise<string> => {
  const iat = Math.floor(claims.nowMs / 1000)
  const exp = iat + Math.floor((claims.lifetimeMs ?? maxPullTokenMs) / 1000)
  const payload: PullClaims = { iss: claims.agent, aud: claims.installation, iat, exp }
  return signJws('pull', payload, key)
}

/**
 * Who the token SAYS it is from, unverified: tells which agent's key `verifyPullToken` is to be given.
 * @throws ProtocolError as `readUnverified`
 */
export const readPullTokenIssuer = (token: string): AgentId => readUnverified('pull', token, pullClaims).iss

/**
 * @param agent the registered agent that the token names, and its key
 * @throws ProtocolError `key-unknown`, `audience-mismatch`, `clock-skew`, `expired`, or as `verifyJws`
 */
export const verifyPullToken = async (
  token: string,
  agent: { id: AgentId; key: VerifyKey },
  now: { installation: InstallationId; nowMs: number }
): Promise<PullClaims> => {
  const keyOf = (kid: string): VerifyKey | undefined => (kid === agent.key.kid ? agent.key : undefined)
  const claims = await verifyJws('pull', token, keyOf, pullClaims)
  if (claims.iss !== agent.id) throw new ProtocolError('key-unknown', 'signed by another agent than it names')
  if (claims.aud !== now.installation) throw new ProtocolError('audience-mismatch')
  checkTimes(claims.iat * 1000, claims.exp * 1000, now.nowMs)
  return claims
}

/** The clocks of both ends may differ as much as in an assertion. */
const checkTimes = (issuedAtMs: number, expiresAtMs: number, nowMs: number): void => {
  const lifetimeMs = expiresAtMs - issuedAtMs
  if (lifetimeMs <= 0 || lifetimeMs > maxPullTokenMs) {
    throw new ProtocolError('expired', `a pull token is good for at most ${maxPullTokenMs / 1000} s`)
  }
  if (issuedAtMs > nowMs + maxClockSkewMs) throw new ProtocolError('clock-skew', 'it is from the future')
  if (nowMs >= expiresAtMs + maxClockSkewMs) {
    throw new ProtocolError('expired', `it expired ${new Date(expiresAtMs).toISOString()}`)
  }
}
