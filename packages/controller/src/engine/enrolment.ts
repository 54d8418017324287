// A machine registers itself: checks the enrolment and its join token, lets core/fleet decide, stores the agent and
// the use of the token in one transaction, and signs the answer. Rate limits and HTTP are left to adapters/http.
import {
  type AgentId,
  type EnrolAnswer,
  type EnrolClaims,
  enrolClaims,
  formatId,
  type JoinClaims,
  joinClaims,
  ProtocolError,
  readUnverified,
  signJws,
  type VerifyKey,
  verifyJws,
  verifyWithEmbeddedKey
} from '@longshore/protocol'
import { decideEnrolment, type EnrolmentDecision, mergeLabels } from '../core/fleet/enrolment.ts'
import type { Actor, AgentLink, AgentRow, Clock, Random, Store, Tx } from '../ports.ts'
import type { Deployments } from './deployments.ts'
import { revokeAgent } from './fleet.ts'
import type { Installation } from './installation.ts'
import type { Presences } from './presence.ts'
import { auditRow, type Writer } from './writer.ts'

export type EnrolmentPorts = {
  store: Store
  writer: Writer
  clock: Clock
  random: Random
  installation: Installation
  link: AgentLink
  presences: Presences
  deployments: Pick<Deployments, 'agentGone'>
}

type Enrolment = { claims: EnrolClaims; key: VerifyKey; join: JoinClaims }
type Registered = { agent: AgentRow; former: AgentRow | undefined }

/**
 * @param request compact JWS of kind `enrol`, signed with the machine's own new key
 * @returns compact JWS of kind `enrol-answer`, bound to the request's nonce
 * @throws ProtocolError saying which: `expired`, `used-up`, `revoked`, `audience-mismatch`, `unknown-token`, ...
 */
export const enrol = async (ports: EnrolmentPorts, request: string, address: string): Promise<string> => {
  const enrolment = await verifyEnrolment(ports, request)
  const { agent, former } = await register(ports, enrolment, address)
  if (former !== undefined) {
    await ports.deployments.agentGone(former.id)
    ports.link.close(former.id, 'replaced', `${agent.id} enrolled as ${agent.hostName}`)
    await ports.presences.announce(former.id)
  }
  await ports.presences.announce(agent.id)
  const answer: EnrolAnswer = {
    nonce: enrolment.claims.nonce,
    agent: agent.id,
    environment: agent.environment,
    labels: agent.labels,
    state: agent.state === 'held' ? 'held' : 'active',
    keyChain: [...ports.installation.chain],
    nowMs: ports.clock.nowMs()
  }
  return signJws('enrol-answer', answer, ports.installation.key)
}

const verifyEnrolment = async ({ installation }: EnrolmentPorts, request: string): Promise<Enrolment> => {
  const { payload: claims, key } = await verifyWithEmbeddedKey('enrol', request, enrolClaims)
  if (claims.installation !== installation.id) throw new ProtocolError('audience-mismatch', 'the enrolment')
  const join = await verifyJws('join', claims.token, installation.keyOf, joinClaims).catch(
    (error: unknown) => {
      throw isForeign(claims.token, installation.id)
        ? new ProtocolError('audience-mismatch', 'the join token')
        : error
    }
  )
  if (join.installation !== installation.id) throw new ProtocolError('audience-mismatch', 'the join token')
  return { claims, key, join }
}

/** Unverified, and used only to choose the words of a refusal. */
const isForeign = (token: string, installation: string): boolean => {
  try {
    return readUnverified('join', token, joinClaims).installation !== installation
  } catch {
    return false
  }
}

const register = async (
  ports: EnrolmentPorts,
  enrolment: Enrolment,
  address: string
): Promise<Registered> => {
  const outcome = await ports.writer.step(async (tx) => {
    const decision = await decide(tx, enrolment, ports.clock.nowMs())
    const registered = await carryOut(tx, ports, enrolment, decision)
    await tx.appendAudit(audit(ports, enrolment, address, decision, registered))
    return { decision, registered }
  })
  if (outcome.registered !== undefined) return outcome.registered
  const { decision } = outcome
  if (decision.kind !== 'refused')
    throw new TypeError(`the enrolment decision ${decision.kind} gave no agent`)
  throw new ProtocolError(decision.code, decision.detail)
}

const decide = async (
  tx: Tx,
  { claims, key, join }: Enrolment,
  nowMs: number
): Promise<EnrolmentDecision> => {
  const agents = await tx.agents({ environment: join.environment })
  return decideEnrolment({
    nowMs,
    token: await tx.joinToken(join.id),
    hasEnvironment: (await tx.environment(join.environment)) !== undefined,
    sameKey: await tx.agentByThumbprint(key.kid),
    sameName: agents.find((agent) => agent.hostName === claims.hostName && agent.state === 'active')
  })
}

const carryOut = async (
  tx: Tx,
  ports: EnrolmentPorts,
  enrolment: Enrolment,
  decision: EnrolmentDecision
): Promise<Registered | undefined> => {
  switch (decision.kind) {
    case 'refused':
      return undefined
    case 'again':
      return { agent: decision.agent, former: undefined }
    case 'new':
      return { agent: await addAgent(tx, ports, enrolment, null), former: undefined }
    case 'held': {
      const reason = `agent ${decision.by.id} has the name ${decision.by.hostName}: approve this one to replace it`
      return { agent: await addAgent(tx, ports, enrolment, reason), former: undefined }
    }
    case 'replace': {
      const agent = await addAgent(tx, ports, enrolment, null)
      await revokeAgent(tx, decision.former, `replaced by ${agent.id} with join token ${enrolment.join.id}`)
      return { agent, former: decision.former }
    }
    default:
      return decision satisfies never
  }
}

/** Stores the agent and counts the use of its token. @param heldBecause null: it is active at once */
const addAgent = async (
  tx: Tx,
  ports: EnrolmentPorts,
  { claims, key, join }: Enrolment,
  heldBecause: string | null
): Promise<AgentRow> => {
  const token = await tx.joinToken(join.id)
  if (token === undefined) throw new TypeError('an agent is added for a join token that was found before')
  await tx.putJoinToken({ ...token, usesCount: token.usesCount + 1 })
  const agent: AgentRow = {
    id: formatId<AgentId>('agt', ports.random.bytes(13)),
    environment: token.environment,
    hostName: claims.hostName,
    thumbprint: key.kid,
    publicJwk: key.publicJwk,
    encryptionJwk: claims.encryptionKey,
    labels: mergeLabels(claims.labels, token.labels),
    state: heldBecause === null ? 'active' : 'held',
    stateReason: heldBecause,
    joinToken: token.id,
    enrolledAtMs: ports.clock.nowMs(),
    lastSeenAtMs: null,
    reportsUpTo: 0,
    agentVersion: null,
    facts: claims.facts,
    policy: null,
    clockSkewMs: null
  }
  await tx.putAgent(agent)
  return agent
}

const audit = (
  ports: EnrolmentPorts,
  { claims, key, join }: Enrolment,
  address: string,
  decision: EnrolmentDecision,
  registered: Registered | undefined
) => {
  const actor: Actor = { kind: 'agent', id: registered?.agent.id ?? key.kid, name: claims.hostName, address }
  const request = {
    hostName: claims.hostName,
    joinToken: join.id,
    key: key.kid,
    environment: join.environment
  }
  const note = { actor, action: 'agent.enrol', subject: registered?.agent.id ?? claims.hostName, request }
  return auditRow(note, decision.kind === 'refused' ? decision.code : decision.kind, ports.clock.nowMs())
}
