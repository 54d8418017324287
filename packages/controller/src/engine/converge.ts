// Keeps hosts at what was decided, beside everything else: looks whenever something may have changed, begins a
// deployment of mode `converge` for each host that is due, and remembers how often. What is due is decided by
// plan-convergence.ts; how a host is brought there, by the deployment machine.
import type { AgentId } from '@longshore/protocol'
import { afterReturn, begun, ended, isGivenUp, maxTries, type TryEnd } from '../core/convergence/decide.ts'
import type { DeploymentState } from '../core/deployment/state.ts'
import { givenUpNotice } from '../core/notifications/compose.ts'
import type { Clock, ConvergenceRow, DeploymentRow, Log, Store, Tx } from '../ports.ts'
import { beginConvergence, type ConvergencePorts } from './begin-convergence.ts'
import { retryMs } from './drive-deployments.ts'
import type { HostMemory } from './host-knowledge.ts'
import { oweNotices } from './owe-notices.ts'
import type { Committed } from './persist-step.ts'
import { type Change, planConvergence } from './plan-convergence.ts'
import { stateOf } from './view-deployment.ts'
import type { Writer } from './writer.ts'

export type Converger = {
  /** A new session of the agent: what was given up there is tried again. */
  hostReturned(agent: AgentId): void
  /** Its containers are others than before, or a run has ended there. */
  hostChanged(agent: AgentId): void
  /** Its settings or its agents are others than before. */
  environmentChanged(environment: string): void
  deploymentEnded(row: DeploymentRow): void
  /** Takes up the attempts that were in progress. */
  start(): Promise<void>
  /** Nothing is being done and no timer is left when it resolves. */
  stop(): Promise<void>
}
export type ConvergerPorts = ConvergencePorts & {
  store: Store
  writer: Writer
  clock: Clock
  /** Waits are lengths of time, whatever the time of day does. */
  steadyClock: Clock
  hosts: HostMemory
  log: Log
}

/** Many things change at once: they are looked at together. */
const gatherMs = 250

export const createConverger = (ports: ConvergerPorts): Converger => {
  const { store, writer, clock, steadyClock, hosts, driver, log } = ports
  const changedHosts = new Set<AgentId>()
  const changedEnvironments = new Set<string>()
  const alarms = new Map<string, () => void>()
  const retries = new Set<() => void>()
  let cancelTimer: (() => void) | undefined
  let work: Promise<void> = Promise.resolve()
  let isStopped = false

  const after = (ms: number, wake: () => void): (() => void) =>
    steadyClock.at(steadyClock.nowMs() + Math.max(0, ms), wake)

  const look = (): void => {
    cancelTimer = undefined
    const perform = async (): Promise<void> => {
      for (const environment of await takeChanged()) if (!isStopped) await lookAt(environment)
    }
    enqueue(perform, 'hosts could not be compared with what was decided')
  }
  const enqueue = (perform: () => Promise<void>, failure: string): void => {
    work = work.then(perform).catch((error: unknown) => log.error({ err: error }, failure))
  }
  const schedule = (): void => {
    if (!isStopped && cancelTimer === undefined) cancelTimer = after(gatherMs, look)
  }
  const environmentChanged = (environment: string): void => {
    changedEnvironments.add(environment)
    schedule()
  }
  const hostChanged = (agent: AgentId): void => {
    changedHosts.add(agent)
    schedule()
  }
  const takeChanged = async (): Promise<string[]> => {
    const names = new Set(changedEnvironments)
    const agents = [...changedHosts]
    changedEnvironments.clear()
    changedHosts.clear()
    for (const agent of agents) {
      const row = await store.agent(agent)
      if (row?.state === 'active') names.add(row.environment)
    }
    return [...names]
  }
  const wakeAt = (environment: string, atMs: number | null): void => {
    alarms.get(environment)?.()
    alarms.delete(environment)
    if (atMs === null || isStopped) return
    alarms.set(
      environment,
      after(atMs - clock.nowMs(), () => environmentChanged(environment))
    )
  }
  const lookAt = async (environment: string): Promise<void> => {
    try {
      const row = await store.environment(environment)
      if (row === undefined) return wakeAt(environment, null)
      const { changes, wakeAtMs } = await planConvergence(store, hosts, row, clock.nowMs())
      wakeAt(environment, wakeAtMs)
      if (changes.length > 0) await writer.step((tx) => actIn(tx, ports, environment), tell)
    } catch (error) {
      wakeAt(environment, clock.nowMs() + retryMs)
      throw error
    }
  }
  const tell = (done: Done[]): void => {
    driver.follow(done.map(({ committed }) => committed))
    for (const { level, fields, text } of done) log[level](fields, text)
  }
  /** Nobody waits for the write of what happened: it is tried again until it is stored. */
  const record = (write: () => Promise<void>, then: () => void): void => {
    if (isStopped) return
    const perform = (): Promise<void> =>
      write().then(then, (error: unknown) => {
        retryLater(() => record(write, then))
        throw error
      })
    enqueue(perform, 'an attempt to bring a host to what was decided could not be stored; it is tried again')
  }

  const retryLater = (again: () => void): void => {
    if (isStopped) return
    const cancel = after(retryMs, () => {
      retries.delete(cancel)
      again()
    })
    retries.add(cancel)
  }

  return {
    hostReturned: (agent) =>
      record(
        () => rememberReturn(ports, agent),
        () => hostChanged(agent)
      ),
    hostChanged,
    environmentChanged,
    deploymentEnded: (row) =>
      record(
        () => rememberEnd(ports, row),
        () => environmentChanged(row.environment)
      ),
    start: () =>
      writer.step(async (tx) => {
        for (const row of await tx.convergences()) await takeUp(tx, ports, row)
      }),
    stop: async () => {
      isStopped = true
      cancelTimer?.()
      for (const cancel of [...alarms.values(), ...retries]) cancel()
      await work
    }
  }
}

/** What a change led to, for those who hear of it after the commit. */
type Done = { committed?: Committed; level: 'debug' | 'info' | 'warn'; fields: object; text: string }

/** Planned anew inside the transaction: a deployment may have begun since. */
const actIn = async (tx: Tx, ports: ConvergerPorts, environment: string): Promise<Done[]> => {
  const row = await tx.environment(environment)
  if (row === undefined) return []
  const { changes } = await planConvergence(tx, ports.hosts, row, ports.clock.nowMs())
  const done: Done[] = []
  for (const change of changes) done.push(...(await makeChange(tx, ports, change)))
  return done
}

const makeChange = async (tx: Tx, ports: ConvergerPorts, change: Change): Promise<Done[]> => {
  switch (change.kind) {
    case 'forget':
      await tx.deleteConvergence(change.at)
      return [{ level: 'debug', fields: change.at, text: 'the host is as it should be' }]
    case 'give-up': {
      const { row, host, reason } = change
      await putAttempts(tx, ports, row, { ...row, reason })
      const fields = { environment: row.environment, service: row.service, host }
      return [{ level: 'warn', fields, text: `cannot converge: ${reason}` }]
    }
    case 'start':
      return startOne(tx, ports, change)
    default:
      return change satisfies never
  }
}

const startOne = async (
  tx: Tx,
  ports: ConvergerPorts,
  { at, action, desired, tries, host, drift }: Extract<Change, { kind: 'start' }>
): Promise<Done[]> => {
  const wish =
    action.kind === 'remove' ? { recreate: false, removed: action.containers } : { recreate: action.recreate }
  const committed = await beginConvergence(tx, ports, { ...at, ...wish })
  if (committed === undefined) return []
  const deployment = committed.after.id
  await tx.putConvergence({ ...at, ...begun(desired, tries, deployment) })
  const { environment, service } = at
  const fields = { environment, service, host, deployment }
  return [{ committed, level: 'info', fields, text: `${drift}: try ${tries} of ${maxTries}` }]
}

const rememberReturn = async ({ store, writer }: ConvergerPorts, agent: AgentId): Promise<void> => {
  const rows = await store.convergences({ agent })
  if (rows.every((row) => afterReturn(row) === row)) return
  await writer.step(async (tx) => {
    for (const row of await tx.convergences({ agent })) {
      const { environment, service } = row
      await tx.putConvergence({ environment, service, agent, ...afterReturn(row) })
    }
  })
}

const rememberEnd = async (
  ports: ConvergerPorts,
  { id, mode, environment, service }: DeploymentRow
): Promise<void> => {
  if (mode !== 'converge') return
  await ports.writer.step(async (tx) => {
    const rows = await tx.convergences({ environment, service })
    for (const row of rows) if (row.deployment === id) await takeUp(tx, ports, row)
  })
}

/** An attempt whose deployment has ended, or is gone, is over. */
const takeUp = async (tx: Tx, ports: ConvergerPorts, row: ConvergenceRow): Promise<void> => {
  if (row.deployment === null) return
  const deployment = await tx.deployment(row.deployment)
  if (deployment !== undefined && deployment.phase !== 'ended') return
  const end: TryEnd =
    deployment === undefined
      ? { kind: 'failed', reason: 'the record of the last try is gone' }
      : endOf(stateOf(deployment))
  await putAttempts(tx, ports, row, { ...row, ...ended(row, end, ports.clock.nowMs()) })
}

/** Whoever is to be told hears of it once: when the last try has failed. */
const putAttempts = async (
  tx: Tx,
  { random, clock }: ConvergerPorts,
  before: ConvergenceRow,
  after: ConvergenceRow
): Promise<void> => {
  await tx.putConvergence(after)
  const { environment, service, release, tries, reason } = after
  if (reason === null || isGivenUp(before) || !isGivenUp(after)) return
  const host = (await tx.agent(after.agent))?.hostName ?? after.agent
  const nowMs = clock.nowMs()
  const notice = givenUpNotice({ environment, service, host, release, tries, reason }, nowMs)
  await oweNotices(tx, random, [notice], nowMs)
}

const endOf = ({ outcome, reason, cancelledBy }: DeploymentState): TryEnd => {
  if (cancelledBy?.startsWith('preempted by ') === true) return { kind: 'preempted' }
  return outcome === 'succeeded' ? { kind: 'succeeded' } : { kind: 'failed', reason: reason ?? `${outcome}` }
}
