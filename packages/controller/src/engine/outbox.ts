// Sends what hosts are owed: at once, again while unanswered, and all of it at each new session. What is owed is in
// the store; here is only when it was last sent.
import type { AgentId, Capability, CommandId, CommandMessage, RefusedMessage } from '@longshore/protocol'
import { planDelivery } from '../core/delivery/plan-delivery.ts'
import { refusalFor } from '../core/delivery/refusal-for.ts'
import type { AgentLink, Clock, Log, OutboxRow, Store } from '../ports.ts'
import type { RegistryCredentials } from './registry-credentials.ts'
import type { Writer } from './writer.ts'

export type Outbox = {
  /** A new session: nothing counts as sent. */
  sessionBegan(agent: AgentId): void
  /** No moment noted before counts any more: what is unanswered is sent again. */
  clockJumped(): void
  /** Sends what is due to the host; to be called after every commit that may owe it something. */
  deliver(agent: AgentId): void
  /** Asks the host to cancel a run, if it is connected; the next session asks again. */
  cancel(agent: AgentId, command: CommandId): void
  /** The agent is busy: the command counts as sent just now. */
  postpone(agent: AgentId, command: CommandId): void
  /** Resolves when nothing is being sent and no timer is left. */
  stop(): Promise<void>
}

export type OutboxPorts = {
  store: Store
  writer: Writer
  clock: Clock
  link: AgentLink
  credentials: Pick<RegistryCredentials, 'forCommand'>
  /** For what an agent cannot do: answered here, as it would have answered itself. */
  refused(agent: AgentId, message: RefusedMessage): Promise<void>
  log: Log
  settings: { commandResendMs: number }
  /** Only the owner of the lease sends. */
  lease: { isHeld(): Promise<boolean> }
}
type Line = { sentAtMs: Map<string, number>; work: Promise<void>; cancelTimer: () => void }

export const createOutbox = (ports: OutboxPorts): Outbox => {
  const { store, writer, clock, link, log, settings, lease } = ports
  const lines = new Map<AgentId, Line>()
  let isStopped = false

  const lineOf = (agent: AgentId): Line => {
    const line = lines.get(agent) ?? { sentAtMs: new Map(), work: Promise.resolve(), cancelTimer: () => {} }
    lines.set(agent, line)
    return line
  }
  const expire = (row: OutboxRow): Promise<void> =>
    writer.step(async (tx) => {
      const now = await tx.command(row.command)
      if (now === undefined || now.state === 'ended') return
      await tx.putCommand({ ...now, state: 'ended', endedAtMs: clock.nowMs() })
    })
  const deliverNow = async (agent: AgentId, line: Line): Promise<void> => {
    if (isStopped || !link.isConnected(agent)) return
    line.cancelTimer()
    if (!(await lease.isHeld())) return
    const rows = await store.outbox({ agent, isEnded: false })
    const active = new Set<string>(await store.activeDeployments())
    const owed = rows.map((row) => ({ ...row, isActive: active.has(row.deployment) }))
    const plan = planDelivery(owed, line.sentAtMs, clock.nowMs(), settings.commandResendMs)
    const capabilities = link.capabilitiesOf(agent)
    for (const row of plan.send) {
      const refusal = refusalFor(row, capabilities)
      if (refusal !== null) {
        await ports.refused(agent, refusal)
        continue
      }
      if (!link.send(agent, [await messageOf(agent, row, capabilities)])) break
      line.sentAtMs.set(row.command, clock.nowMs())
    }
    if (plan.nextAtMs !== null && !isStopped) {
      line.cancelTimer = clock.at(plan.nextAtMs, () => deliver(agent))
    }
    for (const row of plan.expired) await expire(row)
  }
  /** Credentials are made anew each time: nobody keeps them. */
  const messageOf = async (
    agent: AgentId,
    { jws }: OutboxRow,
    capabilities: readonly string[]
  ): Promise<CommandMessage> => {
    const canOpen = capabilities.includes('registry-credentials' satisfies Capability)
    const credentials = canOpen ? await ports.credentials.forCommand(agent, jws) : []
    return { type: 'command', jws, ...(credentials.length > 0 && { credentials }) }
  }
  const deliver = (agent: AgentId): void => {
    const line = lineOf(agent)
    line.work = line.work
      .then(() => deliverNow(agent, line))
      .catch((error: unknown) => log.error({ agent, err: error }, 'commands could not be sent'))
  }
  return {
    sessionBegan: (agent) => {
      lineOf(agent).sentAtMs.clear()
      deliver(agent)
    },
    clockJumped: () => {
      for (const [agent, line] of lines) {
        line.sentAtMs.clear()
        deliver(agent)
      }
    },
    deliver,
    cancel: (agent, command) => {
      const line = lineOf(agent)
      // Behind the command itself, should that still wait to be sent.
      line.work = line.work
        .then(async () => {
          if (isStopped || !link.isConnected(agent) || !(await lease.isHeld())) return
          link.send(agent, [{ type: 'cancel', command }])
        })
        .catch((error: unknown) => log.error({ agent, err: error }, 'a run could not be cancelled'))
    },
    postpone: (agent, command) => {
      lineOf(agent).sentAtMs.set(command, clock.nowMs())
    },
    stop: async () => {
      isStopped = true
      for (const line of lines.values()) line.cancelTimer()
      await Promise.all([...lines.values()].map((line) => line.work))
    }
  }
}
