// Writes one step of the deployment machine: state, event, outbox, release, lock and audit in the transaction given.
// What is left to do once it is committed (send, cancel, announce) is returned, not done.
import {
  type AgentId,
  type CommandId,
  capabilitiesFor,
  formatId,
  type InstallationId,
  type ServiceSpec,
  type WrittenCommand
} from '@longshore/protocol'
import { commandBody } from '../core/delivery/command-body.ts'
import type { CommandName, Effect, Step, StoredEvent } from '../core/deployment/events.ts'
import { type DeploymentState, type Part, partOf, type Target } from '../core/deployment/state.ts'
import type { Actor, AgentLink, CommandSigner, DeploymentRow, OutboxRow, Random, Tx } from '../ports.ts'
import { endOvertaken } from './end-overtaken.ts'
import { oweStep } from './owe-notices.ts'
import { firstPart, stateOf } from './view-deployment.ts'
import { auditRow } from './writer.ts'

export type PersistPorts = {
  random: Random
  signer: CommandSigner
  lease: { epoch(): number }
  link: Pick<AgentLink, 'isConnected' | 'capabilitiesOf'>
}

export type Committed = {
  before: DeploymentRow | undefined
  after: DeploymentRow
  /** Agents that are owed something new. */
  owed: AgentId[]
  cancelled: { agent: AgentId; command: CommandId }[]
}

/**
 * @param row the deployment as it is to be stored, with the former machine state
 * @param actor on whose behalf commands are sent
 */
export const persistStep = async (
  tx: Tx,
  ports: PersistPorts,
  change: {
    before: DeploymentRow | undefined
    row: DeploymentRow
    event: StoredEvent
    step: Step
    actor: Actor
  }
): Promise<Committed> => {
  const { before, event, step, actor } = change
  const { state } = step
  const { phase, outcome, endedAtMs } = state
  const { release } = firstPart(state)
  const after: DeploymentRow = { ...change.row, phase, outcome, release, endedAtMs, state }
  await tx.putDeployment(after)
  await persistServices(tx, before, after)
  await tx.appendDeploymentEvent(after.id, event)
  await oweStep(tx, ports.random, { before, after }, event.atMs)
  const done: Committed = { before, after, owed: [], cancelled: [] }
  for (const effect of step.effects) await persistEffect(tx, ports, { after, effect, actor, event }, done)
  if (phase === 'ended' && before?.phase !== 'ended') await persistEnd(tx, after)
  return done
}

type EffectContext = { after: DeploymentRow; effect: Effect; actor: Actor; event: StoredEvent }

const persistEffect = async (
  tx: Tx,
  ports: PersistPorts,
  context: EffectContext,
  done: Committed
): Promise<void> => {
  const { effect, after, event } = context
  switch (effect.kind) {
    case 'sendCommand':
      await persistCommand(tx, ports, context, effect)
      done.owed.push(effect.agent)
      return
    case 'cancelCommand': {
      const row = await findCommand(tx, after, effect)
      if (row !== undefined) done.cancelled.push({ agent: row.agent, command: row.command })
      return
    }
    case 'abandonCommand': {
      const row = await findCommand(tx, after, effect)
      if (row !== undefined) await tx.putCommand({ ...row, state: 'ended', endedAtMs: event.atMs })
      return
    }
    case 'pinRelease':
      return persistRelease(tx, context, effect)
    default:
      return effect satisfies never
  }
}

/** A number changes when the image turns out to be the one of a release that there is. */
const persistServices = async (
  tx: Tx,
  before: DeploymentRow | undefined,
  after: DeploymentRow
): Promise<void> => {
  const former = before === undefined ? [] : stateOf(before).parts
  for (const { service, release, generation } of stateOf(after).parts) {
    if (former.some((part) => part.service === service && part.release === release)) continue
    const { id: deployment, environment } = after
    await tx.putDeploymentService({ deployment, environment, service, release, generation })
  }
}

/** The row of a command that the machine knows by service, agent and index. */
export const findCommand = async (
  tx: Pick<Tx, 'outbox'>,
  deployment: Pick<DeploymentRow, 'id'>,
  { service, agent, index }: CommandName
): Promise<OutboxRow | undefined> => {
  const rows = await tx.outbox({ deployment: deployment.id, agent })
  return rows.find((row) => row.service === service && row.fence.index === index)
}

const persistCommand = async (
  tx: Tx,
  { random, signer, lease, link }: PersistPorts,
  { after, actor, event }: EffectContext,
  effect: Effect & { kind: 'sendCommand' }
): Promise<void> => {
  const { service, agent, index, notAfterMs, timeLimitMs, order } = effect
  const { environment } = after
  const part = partOf(stateOf(after), effect)
  const capabilities = link.isConnected(agent) ? link.capabilitiesOf(agent) : null
  const body = commandBody(order, { ...part, spec: await findSpec(tx, environment, part), capabilities })
  const command: WrittenCommand = {
    id: formatId<CommandId>('cmd', random.bytes(13)),
    installation: await requireInstallation(tx),
    agent,
    environment,
    service,
    deployment: after.id,
    fence: { generation: part.generation, epoch: lease.epoch(), index },
    notAfterMs,
    timeLimitMs,
    body
  }
  const { id, fence } = command
  await tx.putCommand({
    command: id,
    agent,
    service,
    deployment: after.id,
    kind: body.kind,
    needs: capabilitiesFor(body),
    fence,
    jws: await signer.sign(command),
    notAfterMs,
    state: 'owed',
    createdAtMs: event.atMs,
    endedAtMs: null
  })
  const request = { command: id, agent, fence, order, digest: part.digest, notAfterMs }
  const note = { actor, action: `command.${order.kind}`, subject: `${environment}/${service}`, request }
  await tx.appendAudit(auditRow(note, 'owed', event.atMs))
}

const persistRelease = async (
  tx: Tx,
  { after, event }: EffectContext,
  effect: Effect & { kind: 'pinRelease' }
): Promise<void> => {
  const { environment } = after
  const { service, release, digest } = effect
  if ((await tx.release(environment, service, release)) !== undefined) return
  const { repository, tag, specRevision } = partOf(stateOf(after), effect)
  await tx.putRelease({
    service,
    environment,
    number: release,
    repository,
    tag,
    digest,
    specRevision,
    deployment: after.id,
    outcome: null,
    createdAtMs: event.atMs,
    createdBy: after.requestedBy,
    build: after.build
  })
  const counters = await tx.counters(environment, service)
  await tx.putCounters(environment, service, { ...counters, release: Math.max(counters.release, release) })
}

const persistEnd = async (tx: Tx, after: DeploymentRow): Promise<void> => {
  const state = stateOf(after)
  for (const part of state.parts) {
    await persistOutcome(tx, after, state, part)
    const lock = await tx.lock(after.environment, part.service)
    if (lock?.deployment === after.id) await tx.deleteLock(after.environment, part.service)
  }
}

/**
 * A release that was good once stays good, whatever a later deployment of it met. A service that was told to leave its
 * hosts has no current release any more, although some could not be reached: nobody wants it back there.
 */
const persistOutcome = async (
  tx: Tx,
  { id, environment }: DeploymentRow,
  { mode, outcome, endedAtMs, targets }: DeploymentState,
  { service, release, generation }: Part
): Promise<void> => {
  const atMs = endedAtMs ?? 0
  const setCurrent = async (number: number | null) => {
    const decision = { environment, service, generation }
    await tx.putCurrentRelease({ ...decision, release: number, deployment: id, sinceMs: atMs })
    const asked = new Set(targets.filter((one) => one.service === service && one.index > 0).map(agentOf))
    const others = (await tx.agents({ environment })).filter((agent) => !asked.has(agent.id))
    await endOvertaken(tx, others, { ...decision, atMs })
  }
  if (mode === 'remove' && (outcome === 'succeeded' || outcome === 'mixed')) {
    await setCurrent(null)
    return
  }
  if (mode !== 'deploy') return
  const row = await tx.release(environment, service, release)
  if (row !== undefined && row.outcome !== 'succeeded') await tx.putRelease({ ...row, outcome })
  if (outcome === 'succeeded') await setCurrent(release)
}

const agentOf = ({ agent }: Target): AgentId => agent

const requireInstallation = async (tx: Tx): Promise<InstallationId> => {
  const installation = await tx.installation()
  if (installation === undefined) throw new TypeError('the store has no installation id')
  return installation
}

const findSpec = async (
  tx: Tx,
  environment: string,
  { service, specRevision }: Part
): Promise<ServiceSpec | undefined> => (await tx.spec(environment, service, specRevision))?.spec
