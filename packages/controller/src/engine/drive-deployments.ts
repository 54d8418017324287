// Moves deployments on: gives the machine an event inside a transaction, and after the commit sends, announces and
// sets the timer for the next deadline. Which events there are is left to the callers.
import type { ProgressMessage, StepReceipt } from '@longshore/protocol'
import { nextDeadline } from '../core/deployment/deadlines.ts'
import type { DeploymentEvent, Requested } from '../core/deployment/events.ts'
import { findTarget } from '../core/deployment/state.ts'
import { begin, step } from '../core/deployment/step.ts'
import type { Actor, Clock, DeploymentRow, Log, OutboxRow, Publisher, Tx } from '../ports.ts'
import { createDeadlineTimers } from './deadline-timers.ts'
import { createKnownRows } from './known-rows.ts'
import type { Meters } from './meters.ts'
import type { Outbox } from './outbox.ts'
import { type Committed, type PersistPorts, persistStep } from './persist-step.ts'
import { createProgressMemory } from './progress-memory.ts'
import type { RunningDeployments } from './running-deployments.ts'
import { createStepMemory } from './step-memory.ts'
import { announcements, stateOf, turnOf, viewDeployment } from './view-deployment.ts'
import { retryMs, type Writer } from './writer.ts'

export type Driver = {
  /** The first step of a deployment, in the transaction given. Hand the result to `follow` after the commit. */
  begin(tx: Tx, row: Omit<DeploymentRow, 'state'>, request: Requested, actor: Actor): Promise<Committed>
  /** One more step; undefined when the event changes nothing. */
  step(tx: Tx, id: string, event: DeploymentEvent): Promise<Committed | undefined>
  /** What is due after a commit; never throws. */
  follow(committed: (Committed | undefined)[]): void
  /** Sets the timer of a deployment that is in the store. */
  watch(row: DeploymentRow): void
  /** Keeps the latest progress of a command in memory and announces it. */
  progressed(row: DeploymentRow, command: OutboxRow, message: ProgressMessage): void
  /** Keeps what a command did in memory. */
  did(command: OutboxRow, steps: readonly StepReceipt[]): void
  view(row: DeploymentRow): ReturnType<typeof viewDeployment>
  stop(): void
}

type DriverPorts = PersistPorts & {
  writer: Writer
  clock: Clock
  outbox: Outbox
  publisher: Publisher
  meters: Pick<Meters, 'deploymentEnded'>
  running: RunningDeployments
  /** After each commit; must not throw. */
  moved(row: DeploymentRow): void
  /** After the commit of a deployment's end; must not throw. */
  ended(row: DeploymentRow): void
  log: Log
}

export const createDriver = (ports: DriverPorts): Driver => {
  const { writer, clock, outbox, publisher, meters, running, log } = ports
  const timers = createDeadlineTimers(clock, (id) => wake(id))
  const progress = createProgressMemory()
  const memory = createStepMemory()
  const rows = createKnownRows()
  let isStopped = false

  const view = (row: DeploymentRow) =>
    viewDeployment(
      row,
      (target) => progress.of(row.id, target),
      (target) => memory.of(row.id, target)
    )

  const stepIn = async (tx: Tx, id: string, event: DeploymentEvent): Promise<Committed | undefined> => {
    const before = await rows.find(tx, id)
    if (before === undefined) return undefined
    const former = stateOf(before)
    const next = step(former, event)
    if (next.state === former) return undefined
    const actor = requesterOf(before)
    const committed = await persistStep(tx, ports, { before, row: before, event, step: next, actor })
    rows.drafted(tx, committed.after)
    return committed
  }
  const wake = (id: string): void => {
    if (isStopped) return
    const event: DeploymentEvent = { kind: 'timePassed', atMs: clock.nowMs() }
    writer
      .step(
        (tx) => stepIn(tx, id, event),
        (committed) => follow([committed])
      )
      .catch((error: unknown) => {
        log.error({ deployment: id, err: error }, 'a deadline could not be handled; it is tried again')
        timers.set(id, clock.nowMs() + retryMs)
      })
  }
  const watch = (row: DeploymentRow): void => timers.set(row.id, nextDeadline(stateOf(row)))
  const shown = (row: DeploymentRow) => ({ view: view(row), turn: turnOf(stateOf(row)) })
  const followOne = ({ before, after, owed, cancelled }: Committed): void => {
    rows.committed(after)
    if (isStopped) return
    running.moved(after)
    watch(after)
    ports.moved(after)
    const at = new Date(clock.nowMs()).toISOString()
    for (const event of announcements(before && shown(before), shown(after), at)) publisher.publish(event)
    for (const agent of new Set(owed)) outbox.deliver(agent)
    for (const { agent, command } of cancelled) outbox.cancel(agent, command)
    if (after.phase === 'ended') progress.forget(after.id)
    if (after.phase === 'ended' && before?.phase !== 'ended') {
      const { outcome, reason, mode } = stateOf(after)
      log.info({ deployment: after.id, outcome }, `deployment ended: ${reason}`)
      const { environment, requestedAtMs, endedAtMs } = after
      const ms = (endedAtMs ?? requestedAtMs) - requestedAtMs
      meters.deploymentEnded({ environment, mode, outcome: outcome ?? 'none', ms })
      ports.ended(after)
    }
  }
  const follow = (committed: (Committed | undefined)[]): void => {
    for (const one of committed) if (one !== undefined) followOne(one)
  }
  return {
    begin: (tx, row, request, actor) => {
      const first = begin(request)
      const whole = { ...row, state: first.state }
      return persistStep(tx, ports, { before: undefined, row: whole, event: request, step: first, actor })
    },
    step: stepIn,
    follow,
    watch,
    view,
    progressed: (deployment, { service, agent, fence }, message) => {
      const { id } = deployment
      const { lines = [] } = message
      const target = findTarget(stateOf(deployment), { service, agent })
      if (target?.inFlight?.index !== fence.index || isStopped) return
      running.progressed(id)
      const latest = progress.keep(id, target, message)
      const at = new Date(clock.nowMs()).toISOString()
      const { host } = target
      publisher.publish({ at, type: 'progress', id, service, host, progress: latest })
      if (lines.length > 0) publisher.publish({ at, type: 'log', id, service, host, lines })
    },
    did: ({ deployment, service, agent, fence, kind }, steps) => {
      // tidying up is not what anybody waited for
      if (kind !== 'settle') memory.keep(deployment, { service, agent, index: fence.index }, steps)
    },
    stop: () => {
      isStopped = true
      timers.stop()
    }
  }
}

/** Commands that follow from the course of a deployment are sent by the controller, in the requester's name. */
const requesterOf = (row: DeploymentRow): Actor => ({
  kind: 'controller',
  id: row.id,
  name: row.requestedBy,
  address: ''
})
