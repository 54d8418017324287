// The controller's real engine with its real store (in memory), over simulated sessions. A crash ends it between
// two commits or right after one; the store is all that the next one knows. It may also stand still for a while, and
// go on when another one has taken over.
import {
  type AgentId,
  agentCapabilities,
  type DownMessage,
  type EnvironmentName,
  type Thumbprint,
  type TokenId
} from '@longshore/protocol'
import { ApiError } from '../../packages/controller/src/api/errors.ts'
import { createDeployments, type Deployments } from '../../packages/controller/src/engine/deployments.ts'
import { createLease } from '../../packages/controller/src/engine/lease.ts'
import { createMeters } from '../../packages/controller/src/engine/meters.ts'
import { createWriter } from '../../packages/controller/src/engine/writer.ts'
import type {
  DeploymentRow,
  LeaseRow,
  Log,
  OutboxRow,
  Store,
  Tx
} from '../../packages/controller/src/ports.ts'
import { behindBoundary, createGate, type Gate } from './process-boundary.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { Down, SimulatedSession, Up } from './simulated-network.ts'
import type { ProcessClock, VirtualTime } from './virtual-time.ts'

export type SimulatedController = {
  isAlive(): boolean
  /** It is alive and has started. */
  isOpen(): boolean
  deployments(): Deployments
  kill(): void
  start(): Promise<void>
  /** It does nothing from here on, and its sessions stay. */
  standStill(): void
  goOn(): void
  /** false: another session of the same key is alive, this one is refused. */
  admit(agent: AgentId, session: SimulatedSession): boolean
  hear(agent: AgentId, session: SimulatedSession, message: Up): void
  /** The silence limit has passed for this session. */
  lose(agent: AgentId, session: SimulatedSession): void
}

/** What one transaction wrote, in its order. */
export type Written = { lease: LeaseRow | undefined; commands: OutboxRow[]; deployments: DeploymentRow[] }

type Ports = {
  time: VirtualTime
  random: SeededRandom
  store: Store
  /** How far the controller's wall clock is off at the moment. */
  skewMs: () => number
  /** Called right after each commit: the process may be killed there. */
  wrote: () => void
  /** Each transaction that was committed. */
  committed: (written: Written) => void
  /** It has ended the session. */
  closed: (agent: AgentId) => void
}

export const createSimulatedController = (ports: Ports): SimulatedController => {
  const { time, random } = ports
  const sessions = new Map<AgentId, SimulatedSession>()
  const lines = new Map<AgentId, Promise<void>>()
  let life = 0
  let isAlive = false
  /** Agents are let in once the controller has started. */
  let isOpen = false
  let current: Deployments | undefined

  const gate = createGate()
  const kill = (): void => {
    isAlive = false
    gate.open()
    life += 1
    for (const session of sessions.values()) session.cut()
    sessions.clear()
    lines.clear()
  }
  const start = async (): Promise<void> => {
    life += 1
    isAlive = true
    isOpen = false
    const ownLife = life
    const lives = () => isAlive && life === ownLife
    const watched = watchCommits(ports.store, ports.committed)
    const crashing = callAfterCommit(watched, () => {
      if (lives()) ports.wrote()
    })
    const store = behindBoundary(crashing, lives, gate.pass)
    const clock = behindGate(time.clockFor(lives, ports.skewMs), gate)
    const steadyClock = behindGate(time.clockFor(lives), gate)
    const lease = createLease({ store, clock, steadyClock, random, log: silentLog })
    current = createDeployments({
      store,
      writer: createWriter({ store, clock, lease }),
      lease,
      clock,
      steadyClock,
      random,
      link: {
        isConnected: (agent) => lives() && sessions.get(agent)?.isCut() === false,
        capabilitiesOf: () => agentCapabilities,
        send: (agent, messages) => {
          const session = sessions.get(agent)
          if (!lives() || session === undefined || session.isCut()) return false
          for (const message of messages) session.down.send(asDown(message))
          return true
        },
        close: () => {}
      },
      credentials: { forCommand: async () => [] },
      signer: { sign: async (command) => JSON.stringify(command) },
      artifacts: {
        findArtifact: async () => undefined,
        fetchArtifact: () => Promise.reject(new Error('no registry')),
        configsOf: async () => []
      },
      meters: createMeters(),
      publisher: { publish: () => {} },
      settings: { lostAfterMs: 60_000, commandResendMs: 10_000, pauseLimitMs: 600_000 },
      log: silentLog
    })
    await current.start()
    if (lives()) isOpen = true
  }
  const demand = (): Deployments => {
    if (current === undefined) throw new Error('the controller has not been started')
    return current
  }
  /** What one agent says is heard in order. */
  const inLine = (agent: AgentId, work: () => Promise<void>): void => {
    gate.pass(() => lines.set(agent, (lines.get(agent) ?? Promise.resolve()).then(work)))
  }
  /** As the gateway does it when a message cannot be taken. */
  const closeTakenOver = (agent: AgentId, session: SimulatedSession, error: unknown): void => {
    if (!(error instanceof ApiError) || error.code !== 'stopping') throw error
    session.cut()
    if (sessions.get(agent) === session) sessions.delete(agent)
    ports.closed(agent)
  }
  const take = async (agent: AgentId, session: SimulatedSession, message: Up): Promise<void> => {
    const deployments = demand()
    switch (message.type) {
      case 'hello':
        deployments.observed(agent, message.inventory)
        return deployments.agentConnected(agent, message)
      case 'inventory':
        return deployments.observed(agent, message.inventory)
      case 'accepted':
        return deployments.accepted(agent, message.command)
      case 'refused':
        return deployments.refused(agent, message)
      case 'progress':
        return deployments.progress(agent, message)
      case 'report':
        await deployments.reported(agent, message.report, 'unsigned')
        session.down.send({ type: 'ack', reportsUpTo: message.report.number })
        return
      default:
        message satisfies never
    }
  }
  const lose = (agent: AgentId, session: SimulatedSession): void => {
    session.cut()
    gate.pass(() => {
      if (!isAlive || sessions.get(agent) !== session) return
      sessions.delete(agent)
      inLine(agent, () => demand().agentDisconnected(agent))
    })
  }
  return {
    isAlive: () => isAlive,
    isOpen: () => isAlive && isOpen,
    deployments: demand,
    kill,
    start,
    standStill: gate.shut,
    goOn: gate.open,
    admit: (agent, session) => {
      if (!isOpen || sessions.get(agent)?.isCut() === false) return false
      sessions.set(agent, session)
      return true
    },
    hear: (agent, session, message) => {
      if (!isAlive || sessions.get(agent) !== session) return
      inLine(agent, () =>
        take(agent, session, message).catch((error: unknown) => closeTakenOver(agent, session, error))
      )
    },
    lose
  }
}

/** What is due while it stands still comes when it goes on. */
const behindGate = (clock: ProcessClock, gate: Gate): ProcessClock => {
  const hold = (wait: (wake: () => void) => () => void, wake: () => void): (() => void) => {
    let isCancelled = false
    const cancel = wait(() => gate.pass(() => !isCancelled && wake()))
    return () => {
      isCancelled = true
      cancel()
    }
  }
  return {
    ...clock,
    at: (atMs, wake) => hold((held) => clock.at(atMs, held), wake),
    after: (delayMs, wake) => hold((held) => clock.after(delayMs, held), wake)
  }
}

const asDown = (message: DownMessage): Down => {
  if (message.type === 'command' || message.type === 'cancel' || message.type === 'ack') return message
  throw new Error(`the engine sent ${message.type}`)
}

const callAfterCommit = (store: Store, call: () => void): Store => ({
  ...store,
  transaction: async (work) => {
    const answer = await store.transaction(work)
    call()
    return answer
  }
})

/** Tells of what a transaction wrote once it has been committed. */
const watchCommits = (store: Store, committed: Ports['committed']): Store => ({
  ...store,
  transaction: async (work) => {
    const written: Written = { lease: undefined, commands: [], deployments: [] }
    const spied = (tx: Tx): Tx => ({
      ...tx,
      putLease: async (row) => {
        await tx.putLease(row)
        written.lease = row
      },
      putCommand: async (row) => {
        await tx.putCommand(row)
        written.commands.push(row)
      },
      putDeployment: async (row) => {
        await tx.putDeployment(row)
        written.deployments.push(row)
      }
    })
    const answer = await store.transaction((tx) => work(spied(tx)))
    committed(written)
    return answer
  }
})

const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** The row that enrolment would have made. */
export const agentRow = (id: AgentId, hostName: string, environment: EnvironmentName, atMs: number) => ({
  id,
  environment,
  hostName,
  thumbprint: id.padEnd(43, 'x') as Thumbprint,
  publicJwk: {},
  encryptionJwk: {},
  labels: {},
  state: 'active' as const,
  stateReason: null,
  joinToken: 'tok_00000000000000000000' as TokenId,
  enrolledAtMs: atMs,
  lastSeenAtMs: null,
  reportsUpTo: 0,
  agentVersion: null,
  facts: null,
  policy: null,
  clockSkewMs: null
})
