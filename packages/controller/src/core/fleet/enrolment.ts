// Does this machine become an agent, and in which state? Decided from the verified enrolment and what the store
// knows. Signatures are checked before (adapters/http), rows are written after (engine/enrolment.ts).
import type { Labels, ProtocolErrorCode } from '@longshore/protocol'
import type { AgentRow, JoinTokenRow } from '../../ports.ts'

export type EnrolmentFacts = {
  nowMs: number
  /** The join token as stored; undefined: this controller has no record of it. */
  token: JoinTokenRow | undefined
  /** False: the token's environment has been removed since. */
  hasEnvironment: boolean
  /** The agent that is registered with this very key. */
  sameKey: AgentRow | undefined
  /** The active agent of the token's environment that has this host name. */
  sameName: AgentRow | undefined
}

export type EnrolmentDecision =
  /** The key is registered: the same agent again; costs no use of the token. */
  | { kind: 'again'; agent: AgentRow }
  | { kind: 'new' }
  /** The name belongs to an active agent: wait for an operator. */
  | { kind: 'held'; by: AgentRow }
  /** The token allows to take the name over: the former agent is revoked. */
  | { kind: 'replace'; former: AgentRow }
  | { kind: 'refused'; code: ProtocolErrorCode; detail: string }

export const decideEnrolment = (facts: EnrolmentFacts): EnrolmentDecision => {
  if (facts.sameKey !== undefined) return decideForKnownKey(facts.sameKey)
  const refusal = refuseToken(facts)
  if (refusal !== undefined || facts.token === undefined) return refusal ?? unknownToken
  if (facts.sameName === undefined) return { kind: 'new' }
  return facts.token.replace
    ? { kind: 'replace', former: facts.sameName }
    : { kind: 'held', by: facts.sameName }
}

/** The token's labels win: they were given by an operator, the host's own only by whoever set up the host. */
export const mergeLabels = (ofHost: Labels, ofToken: Labels): Labels => ({ ...ofHost, ...ofToken })

const decideForKnownKey = (agent: AgentRow): EnrolmentDecision =>
  agent.state === 'revoked'
    ? refused(
        'revoked',
        `agent ${agent.id} and its key were revoked; give the machine an empty data directory`
      )
    : { kind: 'again', agent }

const refuseToken = (facts: EnrolmentFacts): EnrolmentDecision | undefined => {
  const { token, nowMs } = facts
  if (token === undefined) return unknownToken
  if (token.revokedAtMs !== null) return refused('revoked', `join token ${token.id}`)
  if (!facts.hasEnvironment) return refused('revoked', `environment ${token.environment} was removed`)
  if (nowMs >= token.expiresAtMs) {
    return refused('expired', `join token ${token.id} expired ${new Date(token.expiresAtMs).toISOString()}`)
  }
  if (token.usesMax !== null && token.usesCount >= token.usesMax) {
    return refused('used-up', `join token ${token.id} allowed ${token.usesMax}`)
  }
  return undefined
}

const refused = (code: ProtocolErrorCode, detail: string): EnrolmentDecision => ({
  kind: 'refused',
  code,
  detail
})

const unknownToken: EnrolmentDecision = refused('unknown-token', 'create a new join token')
