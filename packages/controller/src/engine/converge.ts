// Keeps hosts at what was decided, beside everything else: looks whenever something may have changed, begins a
// deployment of mode `converge` for each host that is due, and remembers how often. What is due is decided by
// plan-convergence.ts; how a host is brought there, by the deployment machine.
import type { AgentId } from '@longshore/protocol'
import { isGivenUp } from '../core/convergence/decide.ts'
import type { Clock, DeploymentRow, Log, Store, Tx } from '../ports.ts'
import {
  actIn,
  type ChangePorts,
  type Done,
  rememberEnd,
  rememberReturn,
  takeUp
} from './change-convergences.ts'
import { createDeadlineTimers } from './deadline-timers.ts'
import { planConvergence } from './plan-convergence.ts'
import { retryMs, type Writer } from './writer.ts'

export type Converger = {
  /** A new session of the agent: what was given up there is tried again. */
  hostReturned(agent: AgentId): void
  /** Its containers are others than before, or a run has ended there. */
  hostChanged(agent: AgentId): void
  /** Its settings or its agents are others than before. */
  environmentChanged(environment: string): void
  deploymentEnded(row: DeploymentRow): void
  /** Takes up the tries that were in progress. */
  start(): Promise<void>
  /** Nothing is being done and no timer is left when it resolves. */
  stop(): Promise<void>
}
export type ConvergerPorts = ChangePorts & {
  store: Store
  writer: Writer
  clock: Clock
  /** Waits are lengths of time, whatever the time of day does. */
  steadyClock: Clock
  log: Log
}

const notCompared = 'hosts could not be compared with what was decided; they are looked at again'
/** Many things change at once: they are looked at together. */
const gatherMs = 250

export const createConverger = (ports: ConvergerPorts): Converger => {
  const { store, writer, clock, steadyClock, hosts, driver, log } = ports
  const changedHosts = new Set<AgentId>()
  const changedEnvironments = new Set<string>()
  const retries = new Set<() => void>()
  let cancelTimer: (() => void) | undefined
  let work: Promise<void> = Promise.resolve()
  let isStopped = false

  const alarms = createDeadlineTimers(steadyClock, (environment) => environmentChanged(environment))
  const after = (ms: number, wake: () => void): (() => void) => steadyClock.at(steadyClock.nowMs() + ms, wake)

  const look = (): void => {
    cancelTimer = undefined
    const perform = async (): Promise<void> => {
      for (const environment of await takeChanged()) if (!isStopped) await lookAt(environment)
    }
    enqueue(perform, notCompared)
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
    try {
      for (const agent of agents) {
        const row = await store.agent(agent)
        if (row?.state === 'active') names.add(row.environment)
      }
    } catch (error) {
      for (const name of names) changedEnvironments.add(name)
      for (const agent of agents) changedHosts.add(agent)
      retryLater(schedule)
      throw error
    }
    return [...names]
  }
  const wakeAt = (environment: string, atMs: number | null): void => {
    const waitMs = atMs === null ? null : Math.max(0, atMs - clock.nowMs())
    alarms.set(environment, waitMs === null ? null : steadyClock.nowMs() + waitMs)
  }
  const lookAt = async (environment: string): Promise<void> => {
    try {
      const row = await store.environment(environment)
      if (row === undefined) return wakeAt(environment, null)
      const { changes, wakeAtMs } = await planConvergence(store, hosts, row, clock.nowMs())
      wakeAt(environment, wakeAtMs)
      if (changes.length > 0) await writer.step((tx) => actIn(tx, ports, environment), tell)
    } catch (error) {
      // the other environments are looked at all the same
      log.error({ environment, err: error }, notCompared)
      wakeAt(environment, clock.nowMs() + retryMs)
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
    enqueue(perform, 'the tries at a host could not be stored; it is tried again')
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
        async () => {
          const rows = await store.convergences({ agent })
          if (rows.some(isGivenUp)) await writer.step((tx) => rememberReturn(tx, agent))
        },
        () => hostChanged(agent)
      ),
    hostChanged,
    environmentChanged,
    deploymentEnded: (row) =>
      record(
        async () => {
          if (row.mode === 'converge') await writer.step((tx) => rememberEnd(tx, ports, row), tell)
        },
        () => environmentChanged(row.environment)
      ),
    start: async () => {
      const work = async (tx: Tx) => {
        const done: Done[] = []
        for (const row of await tx.convergences()) done.push(...(await takeUp(tx, ports, row)))
        return done
      }
      await writer.step(work, tell)
    },
    stop: async () => {
      isStopped = true
      cancelTimer?.()
      alarms.stop()
      for (const cancel of retries) cancel()
      await work
    }
  }
}
