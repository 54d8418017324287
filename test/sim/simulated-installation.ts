// A simulated installation: one controller on its store, hosts with their agents, sessions between them, and time.
// What may happen to it is left to fleet.ts. Every promise is watched all the time (invariants.ts).
import type { AgentId, InstallationId, ServiceName, ServiceSpec } from '@longshore/protocol'
import { ApiError } from '../../packages/controller/src/api/errors.ts'
import type { DeploymentState } from '../../packages/controller/src/core/deployment/state.ts'
import type { Deployments } from '../../packages/controller/src/engine/deployments.ts'
import type { DeploymentRow, Store } from '../../packages/controller/src/ports.ts'
import {
  environment,
  type FleetPorts,
  type HostPlan,
  type Member,
  type ServicePlan,
  startMs,
  type Trace
} from './fleet-parts.ts'
import { demand, Violation, Watch } from './invariants.ts'
import type { SeededRandom } from './seeded-random.ts'
import { settle } from './settle.ts'
import { createSimulatedAgent, type SimulatedAgent } from './simulated-agent.ts'
import { agentRow, createSimulatedController, type SimulatedController } from './simulated-controller.ts'
import { createSimulatedHost, type SimulatedRegistry } from './simulated-engine.ts'
import { openSession, type SimulatedSession } from './simulated-network.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

/** Past this a seed counts as stuck; a deployment's own limits are far below. */
const longestMs = 48 * 3_600_000

export class SimulatedInstallation {
  readonly time: VirtualTime = createVirtualTime(startMs)
  readonly random: SeededRandom
  readonly registry: SimulatedRegistry = { tags: new Map(), behaviours: new Map(), isDown: false }
  readonly members: Member[] = []
  readonly watch: Watch
  readonly store: Store
  /** The one that agents reach. */
  controller: SimulatedController
  /** Faults that happened, for the summary. */
  faults = 0
  /** How far the controller's wall clock is off. */
  controllerSkewMs = 0
  /** Told of every state that was committed. */
  onCommit: (state: DeploymentState) => void = () => {}
  readonly #trace: Trace
  readonly #interfere: FleetPorts['interfere']
  protected readonly clones: Member[] = []
  /** Taken over while they stood still. */
  protected readonly formers: SimulatedController[] = []
  #agents = 0
  #failure: unknown

  constructor(ports: FleetPorts, store: Store) {
    this.#trace = (line) => ports.trace(`${String(this.time.nowMs() - startMs).padStart(9)} ms  ${line}`)
    this.#interfere = ports.interfere
    this.random = ports.random
    this.store = store
    this.watch = new Watch(this.members)
    this.controller = this.makeController()
  }

  async populate(hosts: readonly HostPlan[], services: readonly ServicePlan[]): Promise<void> {
    for (const plan of hosts) this.members.push(this.makeMember(plan))
    await this.store.transaction(async (tx) => {
      await tx.setInstallation('ins_00000000000000000000' as InstallationId)
      await tx.insertEnvironment({ name: environment, createdAtMs: startMs })
      for (const { agent, name, labels } of this.members)
        await tx.putAgent({ ...agentRow(agent.id, name, environment, startMs), labels })
    })
    for (const { service, spec } of services) await this.apply(service, spec)
    await this.controller.start()
    for (const member of this.members) this.startAgent(member)
  }

  /** A new revision of the spec, as `apply` stores it. */
  async apply(service: ServiceName, spec: ServiceSpec): Promise<void> {
    const former = await this.store.spec(environment, service)
    this.watch.replicas.set(service, Math.max(this.watch.replicas.get(service) ?? 1, spec.replicas))
    await this.store.transaction((tx) =>
      tx.insertSpec({
        service,
        environment,
        revision: (former?.revision ?? 0) + 1,
        appliedAtMs: this.time.nowMs(),
        appliedBy: 'sim',
        spec
      })
    )
  }

  async close(): Promise<void> {
    for (const controller of [this.controller, ...this.formers]) controller.kill()
    const all = [...this.members, ...this.clones]
    for (const { agent } of all) agent.kill()
    await settle()
    for (const { agent } of all) agent.journal.close()
    await this.store.close()
  }

  tell(line: string): void {
    this.#trace(line)
  }

  startAgent(member: Member): void {
    if (member.isOff) return
    member.agent.start()
    this.connectSoon(member)
  }

  // Making

  protected makeController(): SimulatedController {
    const controller = createSimulatedController({
      time: this.time,
      random: this.random,
      store: this.store,
      skewMs: () => this.controllerSkewMs,
      wrote: () => {
        if (controller === this.controller) this.#interfere({ kind: 'committed' })
      },
      committed: ({ lease, commands, deployments }) => {
        const isTakenOver = controller !== this.controller && this.controller.isOpen()
        this.#guard(() => this.watch.ruled(lease, commands))
        for (const row of deployments) {
          this.#guard(() => demand(!isTakenOver, `${row.id} was written by a controller that was taken over`))
          this.#noteCommit(row)
        }
      },
      closed: (agent) => {
        for (const member of [...this.members, ...this.clones])
          if (member.agent.id === agent) this.connectSoon(member)
      }
    })
    return controller
  }

  protected startController(): void {
    this.controller.start().catch((error: unknown) => this.fail(error))
  }

  protected nextAgentId(): AgentId {
    this.#agents += 1
    return `agt_${String(this.#agents).padStart(20, '0')}` as AgentId
  }

  protected makeMember({ name, labels, skewMs }: HostPlan, id = this.nextAgentId()): Member {
    const member = {
      name,
      labels,
      skewMs,
      isCutOff: false,
      session: undefined,
      heldBy: undefined,
      hasClone: false,
      isOff: false,
      inherited: new Set(),
      isBeingSetUp: false
    } as Member
    member.host = createSimulatedHost({
      clock: this.time.clockFor(() => true),
      random: this.random,
      registry: this.registry,
      stopping: (container) => this.#guard(() => this.watch.stopping(member, container)),
      starting: (container) => this.#guard(() => this.watch.starting(member, container)),
      acted: () => void this.#interfere({ kind: 'called', member })
    })
    member.agent = this.makeAgent(member, id)
    return member
  }

  protected makeAgent(member: Member, id: AgentId): SimulatedAgent {
    const { name, host } = member
    return createSimulatedAgent(id, name, {
      time: this.time,
      host,
      skewMs: () => member.skewMs,
      controllerNowMs: () => this.time.nowMs() + this.controllerSkewMs,
      wrote: () => void this.#interfere({ kind: 'journalled', member }),
      took: (command) => this.#guard(() => this.watch.took(member, command))
    })
  }

  // Sessions

  /** The session is dead; the controller hears of it between at once and the silence limit. */
  protected noticeLoss(member: Member): void {
    const { session, agent, heldBy } = member
    if (session === undefined) return
    session.cut()
    member.session = undefined
    this.later(this.random.integer(0, 40_000), () => heldBy?.lose(agent.id, session))
  }

  /** Tries until there is a session. */
  protected connectSoon(member: Member): void {
    this.later(this.random.integer(50, 3_000), () => {
      const { agent } = member
      const { controller } = this
      if (!agent.isAlive() || member.isCutOff || member.session?.isCut() === false) return
      if (!controller.isAlive()) {
        this.connectSoon(member)
        return
      }
      const session: SimulatedSession = openSession(
        {
          onUp: (message) => controller.hear(agent.id, session, message),
          onDown: (message) => agent.hear(message),
          fateOf: (kind, type) => this.#interfere({ kind, member, type })
        },
        this.time.clockFor(() => true),
        this.random
      )
      if (!controller.admit(agent.id, session)) {
        session.cut()
        this.later(30_000, () => this.connectSoon(member))
        return
      }
      member.session = session
      member.heldBy = controller
      agent.greet(session)
    })
  }

  // Watching

  protected note(fault: string): void {
    this.faults += 1
    this.tell(fault)
  }

  #noteCommit(row: DeploymentRow): void {
    this.tell(describeState(row.id, row.state as DeploymentState))
    this.#guard(() => this.watch.committed(row))
    this.onCommit(row.state as DeploymentState)
  }

  #guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.fail(error)
    }
  }

  fail(error: unknown): void {
    this.#failure ??= error
  }

  // Time

  later(delayMs: number, wake: () => void): void {
    this.time.clockFor(() => true).after(delayMs, wake)
  }

  async passUntil(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (this.time.nowMs() - startMs > longestMs) throw new Violation('stuck: a deployment does not end')
      if (!this.time.passToNext()) throw new Violation('stuck: nothing waits and nothing has ended')
      await settle()
      this.throwFailure()
    }
  }

  async pass(durationMs: number): Promise<void> {
    const untilMs = this.time.nowMs() + durationMs
    await this.passUntil(() => this.time.nowMs() > untilMs)
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Everybody is there: nothing is down, cut off or on its way back. */
  isWhole(): boolean {
    const isThere = ({ agent, host, session, heldBy }: Member) =>
      agent.isAlive() && host.isUp() && session?.isCut() === false && heldBy === this.controller
    return this.controller.isOpen() && this.members.every(isThere)
  }

  /** What the controller answers; `crashed` when it died before it did, `refused` for an ApiError. */
  async ask<T>(question: (deployments: Deployments) => Promise<T>): Promise<T | 'crashed' | 'refused'> {
    let answer: { value: T } | 'refused' | undefined
    question(this.controller.deployments()).then(
      (value) => {
        answer = { value }
      },
      (error: unknown) => {
        if (error instanceof ApiError) answer = 'refused'
        else this.fail(error)
        this.tell(`refused: ${String(error)}`)
      }
    )
    await settle()
    this.throwFailure()
    if (answer === undefined) return 'crashed'
    return answer === 'refused' ? 'refused' : answer.value
  }
}

const describeState = (id: string, state: DeploymentState): string => {
  const targets = state.targets.map(
    ({ service, host, state: is, serving, inFlight }) =>
      `${service}@${host} ${is}/${serving}/${inFlight?.kind ?? '-'}`
  )
  const parts = state.parts.map(({ service, release }) => `${service} r${release}`)
  const words = [id.slice(-4), state.mode, parts.join(' '), state.phase, state.outcome ?? '']
  return `${words.join(' ')} [${targets.join(', ')}] ${state.reason ?? ''}`
}
