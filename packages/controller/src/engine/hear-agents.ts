// What agents say about commands becomes events of deployments: connected, gone, accepted, refused, reported. All
// of one message is one transaction, so that what was acknowledged is durable with all that follows from it.
import {
  type AgentId,
  type CommandId,
  type HelloMessage,
  outcomeText,
  type RefusedMessage,
  type RunReport
} from '@longshore/protocol'
import { isLost, lostJournal, lostOutcome, refusedLater } from '../core/delivery/find-lost.ts'
import { numbersSeen, raised } from '../core/delivery/raise-counters.ts'
import type { CommandName, DeploymentEvent } from '../core/deployment/events.ts'
import type { Actor, AgentLink, Clock, Log, OutboxRow, Tx } from '../ports.ts'
import { comparePlan } from './compare-plan.ts'
import type { Driver } from './drive-deployments.ts'
import type { Meters } from './meters.ts'
import type { Outbox } from './outbox.ts'
import { type Committed, findCommand } from './persist-step.ts'
import { stateOf } from './view-deployment.ts'
import { auditRow, retryMs, type Writer } from './writer.ts'

export type AgentHearing = {
  connected(agent: AgentId, hello: HelloMessage): Promise<void>
  /** Never throws: what cannot be stored is tried again until the agent is back. */
  disconnected(agent: AgentId): Promise<void>
  /** The agent never comes back. Never throws: what cannot be stored is found at the next start. */
  gone(agent: AgentId): Promise<void>
  /** The same for those of which a former life of the controller did not hear. */
  goneMeanwhile(): Promise<void>
  accepted(agent: AgentId, command: CommandId): Promise<void>
  refused(agent: AgentId, message: RefusedMessage): Promise<void>
  /** @param receipt the report as the agent signed it */
  reported(agent: AgentId, report: RunReport, receipt: string): Promise<void>
  /** No timer is left. */
  stop(): void
}
type Ports = {
  writer: Writer
  clock: Clock
  link: AgentLink
  driver: Driver
  outbox: Outbox
  meters: Pick<Meters, 'commandTook' | 'stepsTook'>
  log: Log
}

export const createAgentHearing = ({
  writer,
  clock,
  link,
  driver,
  outbox,
  meters,
  log
}: Ports): AgentHearing => {
  const retries = new Map<AgentId, () => void>()
  let isStopped = false
  /** Tells every deployment in progress that has the host among its targets. */
  const tellActive = async (tx: Tx, agent: AgentId, event: DeploymentEvent): Promise<Committed[]> => {
    const committed: Committed[] = []
    for (const row of await tx.deployments({ isEnded: false, withPlans: true })) {
      if (!stateOf(row).targets.some((target) => target.agent === agent)) continue
      const one = await driver.step(tx, row.id, event)
      if (one !== undefined) committed.push(one)
    }
    return committed
  }
  return {
    connected: async (agent, hello) => {
      const work = async (tx: Tx) => {
        await raiseCounters(tx, agent, hello)
        const atMs = clock.nowMs()
        const committed = await tellActive(tx, agent, { kind: 'hostConnected', atMs, agent })
        committed.push(...(await endLost(tx, agent, hello)))
        return { committed, cancelled: await cancelsOwed(tx, agent, hello) }
      }
      await writer.step(work, ({ committed, cancelled }) => {
        outbox.sessionBegan(agent)
        driver.follow(committed)
        for (const command of cancelled) outbox.cancel(agent, command)
      })
    },
    disconnected: (agent) => noteGone(agent, clock.nowMs()),
    gone: letGo,
    goneMeanwhile: async () => {
      const targets = await writer.step(async (tx) => {
        const rows = await tx.deployments({ isEnded: false, withPlans: true })
        return rows.flatMap((row) => stateOf(row).targets)
      })
      for (const agent of new Set(targets.map((target) => target.agent))) await letGo(agent)
    },
    accepted: async (agent, command) => {
      const work = async (tx: Tx): Promise<OutboxRow | undefined> => {
        const row = await ownCommand(tx, agent, command)
        if (row?.state !== 'owed') return undefined
        await tx.putCommand({ ...row, state: 'accepted' })
        return row
      }
      await writer.step(work, (row) => {
        if (row !== undefined) meters.commandTook(row.kind, 'accept', clock.nowMs() - row.createdAtMs)
      })
    },
    refused: async (agent, { command, code, detail }) => {
      if (code === 'busy') return outbox.postpone(agent, command)
      const work = async (tx: Tx) => {
        const row = await ownCommand(tx, agent, command)
        if (row === undefined || row.state === 'ended') return undefined
        // Accepted before: it may have run, and what was refused now was to be said of it once more.
        if (row.kind === 'run-once' && row.state === 'accepted')
          return endUnknown(tx, row, refusedLater(code, detail))
        const atMs = clock.nowMs()
        await endCommand(tx, row, `refused:${code}`, atMs)
        const event = { kind: 'commandRefused', atMs, ...nameOf(row), code, detail } as const
        return driver.step(tx, row.deployment, event)
      }
      await writer.step(work, (committed) => driver.follow([committed]))
    },
    reported: async (agent, report, receipt) => {
      const work = async (tx: Tx) => {
        // told once more, it was counted before
        const command = await ownCommand(tx, agent, report.command)
        const isNew = command !== undefined && command.state !== 'ended'
        const committed = await hearReport(tx, agent, report, receipt)
        const row = await tx.agent(agent)
        if (row !== undefined && row.reportsUpTo < report.number) {
          await tx.putAgent({ ...row, reportsUpTo: report.number })
        }
        return { committed, ended: isNew ? command : undefined }
      }
      await writer.step(work, ({ committed, ended }) => {
        if (ended !== undefined) measure(ended, report)
        driver.follow([committed])
      })
    },
    stop: () => {
      isStopped = true
      for (const cancel of retries.values()) cancel()
      retries.clear()
    }
  }

  function measure({ kind, createdAtMs }: OutboxRow, { steps }: RunReport): void {
    meters.commandTook(kind, 'whole', clock.nowMs() - createdAtMs)
    const last = steps.at(-1)
    if (last !== undefined) meters.commandTook(kind, 'run', last.endedMs)
    meters.stepsTook(steps)
  }

  /** A deployment that was not told would take the host for connected and wait for it much too long. */
  async function noteGone(agent: AgentId, atMs: number): Promise<void> {
    const event: DeploymentEvent = { kind: 'hostDisconnected', atMs, agent }
    try {
      await writer.step((tx) => tellActive(tx, agent, event), driver.follow)
    } catch (error) {
      log.error({ agent, err: error }, 'the end of a session could not be stored; it is tried again')
      if (isStopped) return
      const again = (): void => {
        retries.delete(agent)
        if (!link.isConnected(agent)) void noteGone(agent, atMs)
      }
      retries.get(agent)?.()
      retries.set(agent, clock.at(clock.nowMs() + retryMs, again))
    }
  }

  /** An agent that is active is left alone. */
  async function letGo(agent: AgentId): Promise<void> {
    const work = async (tx: Tx): Promise<Committed[]> => {
      const row = await tx.agent(agent)
      if (row?.state === 'active' || row?.state === 'held') return []
      const why = `its agent was ${row?.stateReason ?? 'removed'}`
      const atMs = clock.nowMs()
      const committed = await tellActive(tx, agent, { kind: 'hostGone', atMs, agent, why })
      for (const owed of await tx.outbox({ agent, isEnded: false }))
        await tx.putCommand({ ...owed, state: 'ended', endedAtMs: atMs })
      for (const tries of await tx.convergences({ agent })) await tx.deleteConvergence(tries)
      return committed
    }
    await writer
      .step(work, driver.follow)
      .catch((error: unknown) =>
        log.error({ agent, err: error }, 'that an agent is gone could not be stored')
      )
  }

  async function endLost(tx: Tx, agent: AgentId, hello: HelloMessage): Promise<Committed[]> {
    const environment = (await tx.agent(agent))?.environment ?? ''
    const rows = await tx.outbox({ agent, isEnded: false })
    const committed: Committed[] = []
    for (const row of rows.filter((one) => isLost(one, environment, hello))) {
      const one = await endUnknown(tx, row, lostJournal)
      if (one !== undefined) committed.push(one)
    }
    return committed
  }

  async function endUnknown(tx: Tx, row: OutboxRow, detail: string): Promise<Committed | undefined> {
    const atMs = clock.nowMs()
    const outcome = lostOutcome(detail)
    await endCommand(tx, row, outcomeText(outcome), atMs)
    return driver.step(tx, row.deployment, { kind: 'commandReported', atMs, ...nameOf(row), outcome })
  }

  async function hearReport(
    tx: Tx,
    agent: AgentId,
    report: RunReport,
    receipt: string
  ): Promise<Committed | undefined> {
    const row = await ownCommand(tx, agent, report.command)
    if (row === undefined) {
      log.warn({ agent, command: report.command }, 'a report on a command that the store does not know')
      return undefined
    }
    const atMs = clock.nowMs()
    if (row.state !== 'ended') await endCommand(tx, row, outcomeText(report.outcome), atMs, receipt)
    driver.did(row, report.steps)
    const { outcome } = report
    const changes = await comparePlan(tx, row, report)
    const event = { kind: 'commandReported', atMs, ...nameOf(row), outcome } as const
    return driver.step(tx, row.deployment, changes.length === 0 ? event : { ...event, changes })
  }
}

/** How the machine knows the command. */
const nameOf = ({ service, agent, fence }: OutboxRow): CommandName => ({
  service,
  agent,
  index: fence.index
})

/** Only the host that a command was for may answer it. */
const ownCommand = async (tx: Tx, agent: AgentId, command: CommandId): Promise<OutboxRow | undefined> => {
  const row = await tx.command(command)
  return row?.agent === agent ? row : undefined
}

/** @param receipt the agent's signature under the outcome; null: the agent said it without, or somebody else says it */
const endCommand = async (
  tx: Tx,
  row: OutboxRow,
  outcome: string,
  atMs: number,
  receipt: string | null = null
): Promise<void> => {
  await tx.putCommand({ ...row, state: 'ended', endedAtMs: atMs })
  const agent = await tx.agent(row.agent)
  const actor: Actor = { kind: 'agent', id: row.agent, name: agent?.hostName ?? row.agent, address: '' }
  const { command, deployment, fence } = row
  // its key as well: a receipt can then be checked without this controller, and after the agent was removed
  const agentKey = receipt === null ? undefined : agent?.publicJwk
  const request = { deployment, fence, ...(agentKey !== undefined && { agentKey }) }
  const note = { actor, action: `report.${row.kind}`, subject: command, request }
  await tx.appendAudit(auditRow(note, outcome, atMs, agentKey === undefined ? null : receipt))
}

const raiseCounters = async (tx: Tx, agent: AgentId, hello: HelloMessage): Promise<void> => {
  const row = await tx.agent(agent)
  if (row === undefined) return
  for (const seen of numbersSeen(row.environment, hello.marks, hello.inventory)) {
    const counters = raised(await tx.counters(seen.environment, seen.service), seen)
    if (counters !== undefined) await tx.putCounters(seen.environment, seen.service, counters)
  }
}

/** Runs that nobody waits for any more, and those whose cancellation may not have arrived. */
const cancelsOwed = async (tx: Tx, agent: AgentId, hello: HelloMessage): Promise<CommandId[]> => {
  const cancelled: CommandId[] = []
  for (const command of hello.runs) {
    const row = await ownCommand(tx, agent, command)
    if (row?.state === 'ended') cancelled.push(command)
  }
  for (const deployment of await tx.deployments({ isEnded: false, withPlans: true })) {
    for (const target of stateOf(deployment).targets) {
      if (target.agent !== agent || target.inFlight?.isCancelled !== true) continue
      const { service, inFlight } = target
      const row = await findCommand(tx, deployment, { service, agent, index: inFlight.index })
      if (row !== undefined) cancelled.push(row.command)
    }
  }
  return cancelled
}
