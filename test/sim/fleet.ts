// A simulated installation: one controller on its store, hosts with their agents, sessions between them, and time.
// What may happen to it is here, each as one method; when it happens is left to the seeded world and to the
// exhaustive one. Every promise is watched all the time (invariants.ts).
import type { AgentId, EnvironmentName, InstallationId, ServiceName, ServiceSpec } from '@longshore/protocol'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { ApiError } from '../../packages/controller/src/api/errors.ts'
import type { DeploymentState } from '../../packages/controller/src/core/deployment/state.ts'
import type { Deployments } from '../../packages/controller/src/engine/deployments.ts'
import type { Actor, DeploymentRow, Store } from '../../packages/controller/src/ports.ts'
import { demand, Violation, Watch } from './invariants.ts'
import type { SeededRandom } from './seeded-random.ts'
import { settle } from './settle.ts'
import { createSimulatedAgent, type SimulatedAgent } from './simulated-agent.ts'
import { agentRow, createSimulatedController, type SimulatedController } from './simulated-controller.ts'
import { createSimulatedHost, type SimulatedHost, type SimulatedRegistry } from './simulated-engine.ts'
import { type Fate, openSession, type SimulatedSession } from './simulated-network.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

export const environment = 'staging' as EnvironmentName
export const startMs = 1_700_000_000_000
/** Past this a seed counts as stuck; a deployment's own limits are far below. */
const longestMs = 48 * 3_600_000
export const operator: Actor = { kind: 'api-token', id: 'tok_00000000000000000001', name: 'sim', address: '' }

export type Member = {
  name: string
  labels: Record<string, string>
  host: SimulatedHost
  agent: SimulatedAgent
  isCutOff: boolean
  session: SimulatedSession | undefined
  /** Who has its session. */
  heldBy: SimulatedController | undefined
  /** How far its wall clock is off. */
  skewMs: number
  /** Its key is on another machine too: what it is told may be carried out there. */
  hasClone: boolean
  /** For good: it does not come back. */
  isOff: boolean
  /** Containers of an agent whose journal is lost. */
  inherited: Set<string>
  /** Its new key is not registered yet. */
  isBeingSetUp: boolean
}
/** Where something may go wrong: a message is being sent, a write was done, a call to an engine took effect. */
export type Point =
  | { kind: 'up' | 'down'; member: Member; type: string }
  | { kind: 'committed' }
  | { kind: 'journalled' | 'called'; member: Member }
export type Trace = (line: string) => void

export type FleetPorts = {
  random: SeededRandom
  trace: Trace
  /** Called at each point; what it answers counts for messages only. */
  interfere: (point: Point) => Fate
}
export type HostPlan = { name: string; labels: Record<string, string>; skewMs: number }
export type ServicePlan = { service: ServiceName; spec: ServiceSpec }

export class Fleet {
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
  readonly #clones: Member[] = []
  /** Taken over while they stood still. */
  readonly #formers: SimulatedController[] = []
  #agents = 0
  #failure: unknown

  static async make(ports: FleetPorts): Promise<Fleet> {
    return new Fleet(ports, await openStore({ path: ':memory:' }))
  }

  private constructor(ports: FleetPorts, store: Store) {
    this.#trace = (line) => ports.trace(`${String(this.time.nowMs() - startMs).padStart(9)} ms  ${line}`)
    this.#interfere = ports.interfere
    this.random = ports.random
    this.store = store
    this.watch = new Watch(this.members)
    this.controller = this.#makeController()
  }

  async populate(hosts: readonly HostPlan[], services: readonly ServicePlan[]): Promise<void> {
    for (const plan of hosts) this.members.push(this.#makeMember(plan))
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
    for (const controller of [this.controller, ...this.#formers]) controller.kill()
    const all = [...this.members, ...this.#clones]
    for (const { agent } of all) agent.kill()
    await settle()
    for (const { agent } of all) agent.journal.close()
    await this.store.close()
  }

  tell(line: string): void {
    this.#trace(line)
  }

  // What may happen

  killAgent(member: Member, downMs: number): void {
    if (!member.agent.isAlive()) return
    this.#note(`the agent of ${member.name} died`)
    const { agent } = member
    agent.kill()
    this.#noticeLoss(member)
    this.later(downMs, () => {
      if (member.agent === agent && !agent.isAlive()) this.startAgent(member)
    })
  }

  startAgent(member: Member): void {
    if (member.isOff) return
    member.agent.start()
    this.#connectSoon(member)
  }

  killController(downMs: number): void {
    const { controller } = this
    if (!controller.isAlive()) return
    this.#note('the controller died')
    controller.kill()
    this.later(downMs, () => {
      if (!controller.isAlive()) this.#startController()
    })
    for (const member of [...this.members, ...this.#clones]) this.#connectSoon(member)
  }

  /**
   * The controller stands still, another one takes over, and the first goes on as if nothing had happened, until it is
   * found and ended.
   */
  takeOver(stillMs: number): void {
    const former = this.controller
    if (!former.isOpen()) return
    this.#note(`another controller takes over from one that stands still for ${stillMs} ms`)
    former.standStill()
    this.#formers.push(former)
    this.controller = this.#makeController()
    this.#startController()
    for (const member of [...this.members, ...this.#clones]) {
      const { session } = member
      // it hears nothing for too long
      this.later(this.random.integer(0, 40_000), () => {
        if (member.heldBy === former && member.session === session) this.#noticeLoss(member)
        this.#connectSoon(member)
      })
    }
    this.later(stillMs, () => former.goOn())
    this.later(stillMs + 40_000, () => former.kill())
  }

  restartEngine(member: Member, downMs: number): void {
    if (!member.host.isUp()) return
    this.#note(`the engine of ${member.name} restarts`)
    member.host.restart(downMs)
  }

  takeRegistryDown(forMs: number): void {
    this.registry.isDown = true
    this.later(forMs, () => {
      this.registry.isDown = false
    })
  }

  /** @param forMs 0: the session ends, and the network is there */
  cutOff(member: Member, forMs: number): void {
    if (member.isCutOff) return
    this.#note(`${member.name} is cut off for ${forMs} ms`)
    member.isCutOff = true
    this.#noticeLoss(member)
    this.later(forMs, () => {
      member.isCutOff = false
      this.#connectSoon(member)
    })
  }

  /** The host is set up again: a new key, an empty journal; its engine keeps its containers or is empty too. */
  wipe(member: Member, isEngineLost: boolean, downMs: number): void {
    if (member.isBeingSetUp) return
    this.#note(`${member.name} is set up again ${isEngineLost ? 'from nothing' : 'beside its containers'}`)
    const former = member.agent
    former.kill()
    this.#noticeLoss(member)
    former.journal.close()
    if (isEngineLost) member.host.forget()
    for (const { id } of member.host.containers.values()) member.inherited.add(id)
    member.isBeingSetUp = true
    member.agent = this.#makeAgent(member, this.#nextAgentId())
    this.later(downMs, () => {
      this.#reRegister(member, former.id).catch((error: unknown) => this.fail(error))
    })
  }

  /** Another machine comes up from a copy of this one's disk as it was before its first command. */
  clone(member: Member): void {
    if (member.hasClone) return
    this.#note(`${member.name} has a clone`)
    member.hasClone = true
    const clone = this.#makeMember({ ...member, name: `${member.name}-clone` }, member.agent.id)
    clone.hasClone = true
    this.#clones.push(clone)
    this.startAgent(clone)
  }

  /** Somebody finds the machines that are there twice, and turns the copies off. */
  endClones(): void {
    for (const clone of this.#clones) {
      clone.isOff = true
      clone.agent.kill()
      this.#noticeLoss(clone)
    }
  }

  jumpClock(byMs: number): void {
    this.#note(`the controller's clock jumps by ${byMs} ms`)
    this.controllerSkewMs += byMs
  }

  // Making

  #makeController(): SimulatedController {
    const controller = createSimulatedController({
      time: this.time,
      random: this.random,
      store: this.store,
      skewMs: () => this.controllerSkewMs,
      wrote: () => {
        if (controller === this.controller) this.#interfere({ kind: 'committed' })
      },
      committed: (row) => {
        const isTakenOver = controller !== this.controller && this.controller.isOpen()
        this.#guard(() => demand(!isTakenOver, `${row.id} was written by a controller that was taken over`))
        this.#noteCommit(row)
      },
      closed: (agent) => {
        for (const member of [...this.members, ...this.#clones])
          if (member.agent.id === agent) this.#connectSoon(member)
      }
    })
    return controller
  }

  #startController(): void {
    this.controller.start().catch((error: unknown) => this.fail(error))
  }

  #nextAgentId(): AgentId {
    this.#agents += 1
    return `agt_${String(this.#agents).padStart(20, '0')}` as AgentId
  }

  #makeMember({ name, labels, skewMs }: HostPlan, id = this.#nextAgentId()): Member {
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
    member.agent = this.#makeAgent(member, id)
    return member
  }

  #makeAgent(member: Member, id: AgentId): SimulatedAgent {
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

  /** As an enrolment with a join token made with `--replace`. */
  async #reRegister(member: Member, former: AgentId): Promise<void> {
    const nowMs = this.time.nowMs()
    await this.store.transaction(async (tx) => {
      const row = await tx.agent(former)
      if (row !== undefined) await tx.putAgent({ ...row, state: 'revoked', stateReason: 'replaced' })
      const { id } = member.agent
      await tx.putAgent({ ...agentRow(id, member.name, environment, nowMs), labels: member.labels })
    })
    member.isBeingSetUp = false
    this.startAgent(member)
  }

  // Sessions

  /** The session is dead; the controller hears of it between at once and the silence limit. */
  #noticeLoss(member: Member): void {
    const { session, agent, heldBy } = member
    if (session === undefined) return
    session.cut()
    member.session = undefined
    this.later(this.random.integer(0, 40_000), () => heldBy?.lose(agent.id, session))
  }

  /** Tries until there is a session. */
  #connectSoon(member: Member): void {
    this.later(this.random.integer(50, 3_000), () => {
      const { agent } = member
      const { controller } = this
      if (!agent.isAlive() || member.isCutOff || member.session?.isCut() === false) return
      if (!controller.isAlive()) {
        this.#connectSoon(member)
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
        this.later(30_000, () => this.#connectSoon(member))
        return
      }
      member.session = session
      member.heldBy = controller
      agent.greet(session)
    })
  }

  // Watching

  #note(fault: string): void {
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
