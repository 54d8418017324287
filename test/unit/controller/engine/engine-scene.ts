// The engine with a real store, a clock that is moved by hand, and hosts that answer as they are told
// (scene-hosts.ts): no sockets.

import type {
  Command,
  CommandCredential,
  DownMessage,
  HelloMessage,
  Inventory,
  ServiceName,
  ServiceSpec
} from '@longshore/protocol'
import { agentCapabilities } from '@longshore/protocol'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import type { DeployRequest, StreamEvent } from '../../../../packages/controller/src/api/schemas.ts'
import {
  createDeployments,
  type Deployments
} from '../../../../packages/controller/src/engine/deployments.ts'
import { createLease, type Lease } from '../../../../packages/controller/src/engine/lease.ts'
import { createMeters } from '../../../../packages/controller/src/engine/meters.ts'
import { createWriter, type Writer } from '../../../../packages/controller/src/engine/writer.ts'
import type {
  Actor,
  AgentRow,
  Artifacts,
  Clock,
  FoundArtifact,
  Log,
  Store
} from '../../../../packages/controller/src/ports.ts'
import { agentOf } from '../core/deployment-scenes.ts'
import { type Behaviour, deploying, Hosts } from './scene-hosts.ts'

export const jenkins: Actor = {
  kind: 'api-token',
  id: 'tok_00000000000000000001',
  name: 'jenkins',
  address: '10.0.0.9'
}

/** Time stands still until it is moved. */
export class HandClock implements Clock {
  #nowMs = 1_700_000_000_000
  readonly #timers = new Set<{ atMs: number; wake: () => void }>()

  nowMs(): number {
    return this.#nowMs
  }
  at(atMs: number, wake: () => void): () => void {
    const timer = { atMs, wake }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }
  get waiting(): number {
    return this.#timers.size
  }
  /** Wakes whatever is due, earliest first. */
  move(ms: number): void {
    this.#nowMs += ms
    const due = [...this.#timers].filter((timer) => timer.atMs <= this.#nowMs)
    for (const timer of due.sort((a, b) => a.atMs - b.atMs)) {
      if (this.#timers.delete(timer)) timer.wake()
    }
  }
}

const emptyInventory: Inventory = {
  isEngineReachable: true,
  containers: [],
  diskFreeBytes: null,
  diskTotalBytes: null,
  load: null,
  memoryFreeBytes: null
}
export const helloOf = (host: string, change: Partial<HelloMessage> = {}): HelloMessage => ({
  type: 'hello',
  agentVersion: '0.1.0',
  hostName: host,
  facts: {
    os: 'debian',
    kernel: '6.1',
    architecture: 'x86_64',
    engineVersion: null,
    engineApiVersion: null,
    imageStore: null,
    cpus: 1,
    memoryBytes: 1
  },
  policy: { state: 'absent', path: null, detail: '' },
  inventory: emptyInventory,
  marks: [],
  runs: [],
  clockSkewMs: 0,
  ...change
})

const spec = {
  image: { repository: 'api', tag: null, digest: null },
  constraints: [],
  replicas: 1,
  stopGracePeriodMs: 10_000,
  healthyTimeoutMs: null,
  drainTimeoutMs: 0,
  keepImages: 3,
  update: {
    canary: null,
    parallelism: { unit: 'count', value: 1 },
    delayMs: 0,
    monitorMs: 0,
    order: 'stop-first',
    failureAction: 'rollback',
    maxFailureRatio: 0
  }
} as unknown as ServiceSpec

const agentRow = (host: string) =>
  ({
    id: agentOf(host),
    environment: 'staging',
    hostName: host,
    thumbprint: host.repeat(43),
    publicJwk: {},
    encryptionJwk: {},
    labels: {},
    state: 'active',
    stateReason: null,
    joinToken: 'tok_00000000000000000001',
    enrolledAtMs: 0,
    lastSeenAtMs: null,
    reportsUpTo: 0,
    agentVersion: null,
    facts: null,
    policy: null,
    clockSkewMs: null
  }) as unknown as AgentRow

export const furnish = (store: Store, hosts: string[], services = ['api']): Promise<void> =>
  store.transaction(async (tx) => {
    await tx.setInstallation('ins_00000000000000000001' as Parameters<typeof tx.setInstallation>[0])
    await tx.insertEnvironment({ name: 'staging' as AgentRow['environment'], createdAtMs: 0 })
    for (const host of hosts) await tx.putAgent(agentRow(host))
    const environment = 'staging' as AgentRow['environment']
    for (const name of services) {
      const service = name as ServiceName
      await tx.insertSpec({ service, environment, revision: 1, spec, appliedAtMs: 0, appliedBy: 'test' })
    }
  })

export const requestFor = (change: Partial<DeployRequest> = {}): DeployRequest => ({
  service: 'api' as DeployRequest['service'],
  environment: 'staging' as DeployRequest['environment'],
  what: { by: 'tag', tag: 'v1' },
  mode: 'deploy',
  idempotencyKey: null,
  reason: null,
  build: null,
  recreate: false,
  offline: 'fail',
  replace: null,
  ...change
})

/** One life of the controller over a store; the hosts outlive it. */
export class EngineScene {
  readonly store: Store
  readonly clock: HandClock
  readonly lease: Lease
  readonly writer: Writer
  readonly deployments: Deployments
  readonly events: StreamEvent[] = []
  /** `host kind` of every command, and `host cancel`, in the order in which they were sent. */
  readonly sent: string[] = []
  readonly commands: Command[] = []
  readonly faults: string[] = []
  readonly connected = new Set<string>()
  /** What the controller's own store has: `repository reference` -> image. */
  readonly artifacts = new Map<string, FoundArtifact>()
  findArtifact: Artifacts['findArtifact'] = async (repository, reference) =>
    this.artifacts.get(`${repository} ${reference}`)
  /** What the controller does to have an image in its own store. */
  fetchArtifact: Artifacts['fetchArtifact'] = async () => {
    throw new Error('nothing is fetched here')
  }
  /** What the registry says that an image is made of. */
  configsOf: Artifacts['configsOf'] = async () => []
  /** Of every agent. */
  capabilities: readonly string[] = agentCapabilities
  /** For every command to an agent that can take them, and how many came with each command sent. */
  credentials: CommandCredential[] = []
  readonly sentCredentials: [string, number | undefined][] = []
  readonly #hosts: Hosts
  #queue: (() => Promise<void>)[] = []
  isDead = false

  constructor(store: Store, hosts: Hosts, clock = new HandClock(), steadyClock = clock) {
    this.store = store
    this.clock = clock
    this.#hosts = hosts
    const random = { bytes: (count: number) => hosts.randomBytes(count) }
    const lease = createLease({ store, clock, steadyClock, random, log: this.#log() })
    this.lease = lease
    this.writer = createWriter({ store, clock, lease })
    this.deployments = createDeployments({
      store,
      writer: this.writer,
      lease,
      clock,
      steadyClock,
      random,
      link: {
        isConnected: (agent) => this.connected.has(agent),
        capabilitiesOf: () => this.capabilities,
        send: (agent, messages) => this.#send(agent, messages),
        close: () => {
          throw new Error('no session is closed here')
        }
      },
      credentials: { forCommand: async () => this.credentials },
      signer: { sign: async (command) => JSON.stringify(command) },
      artifacts: {
        findArtifact: (repository, reference) => this.findArtifact(repository, reference),
        fetchArtifact: (wanted) => this.fetchArtifact(wanted),
        configsOf: (wanted) => this.configsOf(wanted)
      },
      meters: createMeters(),
      publisher: { publish: (event) => this.events.push(event) },
      settings: { lostAfterMs: 60_000, commandResendMs: 10_000, pauseLimitMs: 3_600_000 },
      log: this.#log()
    })
  }

  #log(): Log {
    const fault = (fields: object, text: string) => this.faults.push(`${text} ${JSON.stringify(fields)}`)
    return { debug: () => {}, info: () => {}, warn: fault, error: fault }
  }

  #send(agent: string, messages: DownMessage[]): boolean {
    if (this.isDead || !this.connected.has(agent)) return false
    const host = this.#hosts.nameOf(agent)
    for (const message of messages) {
      if (message.type === 'cancel') this.sent.push(`${host} cancel`)
      if (message.type !== 'command') continue
      const command = JSON.parse(message.jws) as Command
      this.sent.push(`${host} ${command.body.kind}`)
      this.commands.push(command)
      this.sentCredentials.push([command.body.kind, message.credentials?.length])
      this.#queue.push(() => this.#answer(host, command))
    }
    return true
  }

  async #answer(host: string, command: Command): Promise<void> {
    const report = this.#hosts.execute(host, command)
    if (this.isDead || !this.connected.has(agentOf(host))) return
    await this.deployments.accepted(agentOf(host), command.id)
    if (report !== undefined) await this.deployments.reported(agentOf(host), report, 'signed')
  }

  async connect(host: string, change: Partial<HelloMessage> = {}): Promise<void> {
    this.connected.add(agentOf(host))
    await this.deployments.agentConnected(
      agentOf(host),
      helloOf(host, { marks: this.#hosts.marks(host), ...change })
    )
    for (const report of this.#hosts.reports(host))
      await this.deployments.reported(agentOf(host), report, 'signed')
  }

  async disconnect(host: string): Promise<void> {
    this.connected.delete(agentOf(host))
    await this.deployments.agentDisconnected(agentOf(host))
  }

  /** Lets the engine do all that needs no time to pass, while the hosts say nothing. */
  async pause(): Promise<void> {
    for (let round = 0; round < 20; round += 1) {
      await this.writer.idle()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }

  /** Lets everything happen that needs no time to pass. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 20; ) {
      await this.writer.idle()
      await new Promise<void>((resolve) => setImmediate(resolve))
      const work = this.#queue
      this.#queue = []
      for (const one of work) await one()
      idle = work.length === 0 ? idle + 1 : 0
    }
  }

  /** A crash: nothing is sent or heard any more. */
  async die(): Promise<void> {
    this.isDead = true
    await this.deployments.stop()
  }

  async close(): Promise<void> {
    await this.deployments.stop()
    await this.store.close()
  }
}

/** The controller begins a life over this store, and every host connects. */
export const beginScene = async (store: Store, hosts: Hosts, clock?: HandClock): Promise<EngineScene> => {
  const scene = new EngineScene(store, hosts, clock)
  await scene.deployments.start()
  for (const host of hosts.names) await scene.connect(host)
  return scene
}

export const openScene = async (names: string[], behaviour: Behaviour = deploying, services?: string[]) => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, names, services)
  const hosts = new Hosts(names, behaviour)
  return { scene: await beginScene(store, hosts), hosts, store }
}
