// The agent's real loop of runs with its real journal, over a simulated engine. It can be killed at any moment,
// also right after a write to the journal; what the journal holds is all that it knows when it starts again.
import {
  type AgentId,
  type Command,
  type CommandId,
  type ContainerRole,
  command as commandSchema,
  type EnvironmentName,
  type Inventory,
  limits,
  type ProgressMessage
} from '@longshore/protocol'
import { openJournal } from '../../packages/agent/src/adapters/journal.ts'
import type { Journal, Runs } from '../../packages/agent/src/ports.ts'
import { createRuns } from '../../packages/agent/src/runs.ts'
import { withoutProxy } from '../support/no-proxy.ts'
import { behindBoundary } from './process-boundary.ts'
import { purposeOf, type SimulatedContainer, type SimulatedHost } from './simulated-engine.ts'
import type { Down, SimulatedSession, Up } from './simulated-network.ts'
import type { ProcessClock, VirtualTime } from './virtual-time.ts'

export type SimulatedAgent = {
  id: AgentId
  host: SimulatedHost
  journal: Journal
  isAlive(): boolean
  kill(): void
  start(): void
  /** The agent's end of a new session: says hello, then sends what was not acknowledged. */
  greet(session: SimulatedSession): void
  hear(message: Down): void
}

type Ports = {
  time: VirtualTime
  host: SimulatedHost
  /** How far the host's wall clock is off; nothing that matters may rest on it. */
  skewMs: () => number
  /** The controller's time of day, as its session tells it. */
  controllerNowMs: () => number
  /** Called right after each write to the journal: the process may be killed there. */
  wrote: () => void
  /** Called with each command that is taken into the journal. */
  took: (command: Command) => void
}

/** Between two looks at the containers. */
const inventoryGapMs = 500

export const createSimulatedAgent = (id: AgentId, name: string, ports: Ports): SimulatedAgent => {
  const { time, host } = ports
  const journal = openJournal(':memory:')
  let life = 0
  let isAlive = false
  let runs: Runs | undefined
  let session: SimulatedSession | undefined
  /** The containers that this session was told last. */
  let told = ''

  const kill = (): void => {
    isAlive = false
    life += 1
    session?.cut()
    session = undefined
  }
  const start = (): void => {
    life += 1
    isAlive = true
    const ownLife = life
    const lives = () => isAlive && life === ownLife
    const dieAfterWrite = (target: Journal): Journal =>
      new Proxy(target, {
        get: (object, member, receiver) => {
          const value: unknown = Reflect.get(object, member, receiver)
          if (typeof value !== 'function') return value
          return (...args: unknown[]): unknown => {
            if (!lives()) return undefined
            const answer: unknown = Reflect.apply(value, object, args)
            if (member === 'begin') ports.took(args[0] as Command)
            if (member === 'begin' || member === 'saveRun' || member === 'endRun') ports.wrote()
            return answer
          }
        }
      })
    const clock = time.clockFor(lives, ports.skewMs)
    const tellInventory = (): void => {
      isLooking = false
      const seen = inventoryOf(host)
      const text = JSON.stringify(seen)
      if (text !== told) session?.up.send({ type: 'inventory', inventory: seen })
      told = text
    }
    let isLooking = false
    host.onChange(() => {
      if (isLooking) return
      isLooking = true
      clock.after(inventoryGapMs, tellInventory)
    })
    const progress = pacedProgress(clock, (message) => session?.up.send(message))
    runs = createRuns(
      {
        engine: behindBoundary(host.engine, lives),
        ...withoutProxy,
        host: behindBoundary(roomyHost, lives),
        journal: dieAfterWrite(journal),
        clock,
        policy: {
          summary: () => ({ state: 'absent', path: null, detail: '' }),
          state: () => ({ kind: 'absent' })
        }
      },
      {
        minFreeBytes: 1,
        buildRequest: ({ spec, image, labels }) => ({
          body: { Image: image, Labels: labels, Cmd: spec.command },
          joins: []
        })
      },
      {
        progressed: (message) => {
          if (lives()) progress.take(message)
        },
        reported: (report) => {
          if (!lives()) return
          session?.up.send({ type: 'report', report })
        }
      }
    )
    void runs.recover()
    const resend = (): void => {
      for (const report of runs?.unacknowledged() ?? []) session?.up.send({ type: 'report', report })
      clock.after(limits.reportResendMs, resend)
    }
    clock.after(limits.reportResendMs, resend)
  }
  const take = (command: Command, jws: string): void => {
    const own = session
    const ownLife = life
    void runs?.receive(command, jws, ports.controllerNowMs()).then((answer) => {
      if (answer !== undefined && isAlive && life === ownLife) own?.up.send(answer)
    })
  }
  return {
    id,
    host,
    journal,
    isAlive: () => isAlive,
    kill,
    start,
    greet: (opened) => {
      session = opened
      told = ''
      session.up.send({
        type: 'hello',
        agentVersion: '0.0.0',
        hostName: name,
        facts: noFacts,
        policy: { state: 'absent', path: null, detail: '' },
        inventory: inventoryOf(host),
        marks: runs?.marks() ?? [],
        runs: runs?.inFlight() ?? [],
        clockSkewMs: 0
      } satisfies Up)
      for (const report of runs?.unacknowledged() ?? []) session.up.send({ type: 'report', report })
    },
    hear: (message) => {
      if (!isAlive) return
      if (message.type === 'command') take(commandSchema.parse(JSON.parse(message.jws)), message.jws)
      else if (message.type === 'cancel') runs?.cancel(message.command)
      else void runs?.acknowledged(message.reportsUpTo)
    }
  }
}

/** The latest word on each run, at the pace of the protocol, as the agent's reporter tells it. */
const pacedProgress = (clock: ProcessClock, send: (message: ProgressMessage) => void) => {
  const latest = new Map<CommandId, ProgressMessage>()
  const flush = (): void => {
    for (const message of latest.values()) send(message)
    latest.clear()
  }
  return {
    take: (message: ProgressMessage): void => {
      if (latest.size === 0) clock.after(1000 / limits.maxProgressPerSecond, flush)
      latest.set(message.command, message)
    }
  }
}

export const inventoryOf = (host: SimulatedHost): Inventory => ({
  isEngineReachable: host.isUp(),
  containers: [...host.containers.values()].flatMap((one) =>
    one.owner === null
      ? []
      : [
          {
            id: one.id,
            name: one.name,
            environment: one.owner.environment as EnvironmentName,
            service: one.owner.service,
            release: one.owner.release,
            index: one.owner.index,
            deployment: one.owner.deployment,
            state: one.state,
            health: 'none' as const,
            restartCount: one.restartCount,
            startedAtMs: one.startedAtMs,
            exitCode: one.exitCode,
            image: one.digest,
            isKept: isKept(one),
            specHash: one.owner.specHash,
            role: roleOf(one),
            changes: []
          }
        ]
  ),
  diskFreeBytes: null,
  diskTotalBytes: null,
  load: null,
  memoryFreeBytes: null
})

const isKept = (one: SimulatedContainer): boolean =>
  purposeOf(one) === 'serving' && one.state === 'exited' && one.restart.name === 'no'

const roleOf = (one: SimulatedContainer): ContainerRole => (isKept(one) ? 'kept' : purposeOf(one))

const roomyHost = {
  freeBytes: async () => 1e12,
  routes: async () => [],
  isPortBound: async () => false,
  probe: async () => ({ isOk: true, detail: '' })
}

const noFacts = {
  os: 'sim',
  kernel: 'sim',
  architecture: 'amd64',
  engineVersion: null,
  engineApiVersion: null,
  imageStore: null,
  cpus: 1,
  memoryBytes: 1
}
