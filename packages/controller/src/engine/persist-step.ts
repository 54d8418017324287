// Writes one step of the deployment machine: state, event, outbox, release, lock and audit in the transaction given.
// What is left to do once it is committed (send, cancel, announce) is returned, not done.
import {
  type AgentId,
  type Command,
  type CommandId,
  formatId,
  type InstallationId,
  type ServiceSpec
} from '@longshore/protocol'
import { commandBody } from '../core/delivery/command-body.ts'
import type { DeploymentState, Effect, Step, StoredEvent } from '../core/deployment/state.ts'
import type { Actor, CommandSigner, DeploymentRow, OutboxRow, Random, Tx } from '../ports.ts'
import { auditRow } from './writer.ts'

export type PersistPorts = { random: Random; signer: CommandSigner }
/** Taken over by no other controller yet, so the epoch stays. */
const epoch = 1

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
  const { phase, outcome, release, endedAtMs } = state
  const after: DeploymentRow = { ...change.row, phase, outcome, release, endedAtMs, state }
  await tx.putDeployment(after)
  await tx.appendDeploymentEvent(after.id, event)
  const done: Committed = { before, after, owed: [], cancelled: [] }
  for (const effect of step.effects) await persistEffect(tx, ports, { after, effect, actor, event }, done)
  if (phase === 'ended' && before?.phase !== 'ended') await persistEnd(tx, after, state)
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

/** The row of a command that the machine knows by agent and index. */
export const findCommand = async (
  tx: Pick<Tx, 'outbox'>,
  deployment: Pick<DeploymentRow, 'id'>,
  { agent, index }: { agent: AgentId; index: number }
): Promise<OutboxRow | undefined> => {
  const rows = await tx.outbox({ deployment: deployment.id, agent })
  return rows.find((row) => row.fence.index === index)
}

const persistCommand = async (
  tx: Tx,
  { random, signer }: PersistPorts,
  { after, actor, event }: EffectContext,
  effect: Effect & { kind: 'sendCommand' }
): Promise<void> => {
  const state = after.state as DeploymentState
  const { agent, index, notAfterMs, timeLimitMs, order } = effect
  const command: Command = {
    id: formatId<CommandId>('cmd', random.bytes(13)),
    installation: await requireInstallation(tx),
    agent,
    environment: after.environment,
    service: after.service,
    deployment: after.id,
    fence: { generation: after.generation, epoch, index },
    notAfterMs,
    timeLimitMs,
    body: commandBody(order, { ...state, spec: await requireSpec(tx, state) })
  }
  const { id, fence } = command
  await tx.putCommand({
    command: id,
    agent,
    deployment: after.id,
    kind: order.kind,
    fence,
    jws: await signer.sign(command),
    notAfterMs,
    state: 'owed',
    createdAtMs: event.atMs,
    endedAtMs: null
  })
  const request = { command: id, agent, fence, order, digest: state.digest, notAfterMs }
  const note = {
    actor,
    action: `command.${order.kind}`,
    subject: `${after.environment}/${after.service}`,
    request
  }
  await tx.appendAudit(auditRow(note, 'owed', event.atMs))
}

const persistRelease = async (
  tx: Tx,
  { after, event }: EffectContext,
  { release, digest }: Effect & { kind: 'pinRelease' }
): Promise<void> => {
  const { environment, service } = after
  if ((await tx.release(environment, service, release)) !== undefined) return
  const state = after.state as DeploymentState
  await tx.putRelease({
    service,
    environment,
    number: release,
    repository: state.repository,
    tag: state.tag,
    digest,
    specRevision: state.specRevision,
    deployment: after.id,
    outcome: null,
    createdAtMs: event.atMs,
    createdBy: after.requestedBy
  })
  const counters = await tx.counters(environment, service)
  await tx.putCounters(environment, service, { ...counters, release: Math.max(counters.release, release) })
}

/** A release that was good once stays good, whatever a later deployment of it met. */
const persistEnd = async (
  tx: Tx,
  after: DeploymentRow,
  { outcome, release }: DeploymentState
): Promise<void> => {
  const { environment, service } = after
  const row = await tx.release(environment, service, release)
  if (row !== undefined && row.outcome !== 'succeeded') await tx.putRelease({ ...row, outcome })
  const lock = await tx.lock(environment, service)
  if (lock?.deployment === after.id) await tx.deleteLock(environment, service)
}

const requireInstallation = async (tx: Tx): Promise<InstallationId> => {
  const installation = await tx.installation()
  if (installation === undefined) throw new TypeError('the store has no installation id')
  return installation
}

const requireSpec = async (tx: Tx, state: DeploymentState): Promise<ServiceSpec> => {
  const row = await tx.spec(state.environment, state.service, state.specRevision)
  if (row === undefined) throw new TypeError(`spec revision ${state.specRevision} is gone`)
  return row.spec
}
