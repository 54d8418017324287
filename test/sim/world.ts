// One simulated fleet, from one seed: a controller, some hosts, a network and a registry, deployments asked for and
// cancelled at random, and everything that can die dying at random. Then the faults stop, and what is left must
// be true. The code under test is the real one; only Docker, sockets and time are simulated.
import type { AgentId, Command, EnvironmentName, InstallationId, ServiceName } from '@longshore/protocol'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { ApiError } from '../../packages/controller/src/api/errors.ts'
import type { DeploymentView } from '../../packages/controller/src/api/schemas.ts'
import type { DeploymentState } from '../../packages/controller/src/core/deployment/state.ts'
import type { Actor, Store } from '../../packages/controller/src/ports.ts'
import { sampleSpec } from '../support/run-samples.ts'
import { checkEnd, checkLast, checkStop, Violation } from './invariants.ts'
import { createSeededRandom, type SeededRandom } from './seeded-random.ts'
import { settle, takeOverImmediates } from './settle.ts'
import { createSimulatedAgent, type SimulatedAgent } from './simulated-agent.ts'
import { agentRow, createSimulatedController } from './simulated-controller.ts'
import { type Behaviour, createSimulatedHost, type SimulatedRegistry } from './simulated-engine.ts'
import { openSession, type SimulatedSession } from './simulated-network.ts'
import { createVirtualTime } from './virtual-time.ts'

export const environment = 'staging' as EnvironmentName
export const service = 'web' as ServiceName
const startMs = 1_700_000_000_000
/** Past this a seed counts as stuck; a deployment's own limits are far below. */
const longestMs = 12 * 3_600_000
const operator: Actor = { kind: 'api-token', id: 'tok_00000000000000000001', name: 'sim', address: '' }

export type Member = {
  agent: SimulatedAgent
  name: string
  isCutOff: boolean
  session: SimulatedSession | undefined
}
export type Trace = (line: string) => void
export type Summary = { outcomes: string[]; faults: number; virtualMs: number }

/**
 * @param trace told of everything that happens, for looking at one seed
 * @throws Violation when an invariant does not hold; any other error is a fault of the code under test as well
 */
export const runSeed = async (seed: number, trace: Trace = () => {}): Promise<Summary> => {
  const giveBackImmediates = takeOverImmediates()
  try {
    const world = await World.make(seed, trace)
    try {
      return await world.run()
    } finally {
      await world.close()
    }
  } finally {
    giveBackImmediates()
  }
}

class World {
  readonly time = createVirtualTime(startMs)
  readonly random: SeededRandom
  readonly registry: SimulatedRegistry = { tags: new Map(), isDown: false }
  readonly members: Member[] = []
  readonly states = new Map<string, DeploymentState>()
  readonly store: Store
  readonly controller
  #faultUntilMs = 0
  #faults = 0
  #failure: unknown
  readonly #trace: Trace

  static async make(seed: number, trace: Trace): Promise<World> {
    const store = await openStore({ path: ':memory:' })
    const world = new World(seed, store, trace)
    await world.#populate()
    return world
  }

  private constructor(seed: number, store: Store, trace: Trace) {
    this.#trace = (line) => trace(`${String(this.time.nowMs() - startMs).padStart(9)} ms  ${line}`)
    this.random = createSeededRandom(seed)
    this.store = store
    this.controller = createSimulatedController({
      time: this.time,
      random: this.random,
      store,
      crashChance: () => (this.#areFaultsOn() ? 0.01 : 0),
      died: () => this.#restartController(),
      committed: (_row, state) => this.#noteCommit(state)
    })
  }

  async run(): Promise<Summary> {
    await this.controller.start()
    for (const member of this.members) this.#startAgent(member)
    await this.#pass(10_000)
    const outcomes: string[] = []
    const rounds = this.random.integer(2, 4)
    for (let round = 0; round < rounds; round += 1) {
      if (this.random.chance(0.7)) await this.#gather()
      this.#faultUntilMs =
        this.time.nowMs() + (this.random.chance(0.8) ? this.random.integer(1_000, 120_000) : 0)
      this.#scheduleFaults()
      const id = await this.#deploy(round)
      if (id !== undefined) outcomes.push(await this.#waitForEnd(id))
    }
    await this.#heal()
    const view = await this.#settleLast()
    if (view !== undefined)
      checkLast(
        this.members,
        view,
        this.#currentRelease(await this.store.currentRelease(environment, service))
      )
    return { outcomes, faults: this.#faults, virtualMs: this.time.nowMs() - startMs }
  }

  async close(): Promise<void> {
    this.controller.kill()
    for (const { agent } of this.members) agent.kill()
    await settle()
    for (const { agent } of this.members) agent.journal.close()
    await this.store.close()
  }

  async #populate(): Promise<void> {
    const { random } = this
    const count = random.integer(1, 4)
    for (let index = 0; index < count; index += 1) {
      const id = `agt_${String(index).padStart(20, '0')}` as AgentId
      const always = this.time.clockFor(() => true)
      const host = createSimulatedHost({ clock: always, random, registry: this.registry }, () =>
        checkStop(openRun(), this.states)
      )
      const agent = createSimulatedAgent(id, `host-${index}`, {
        time: this.time,
        random,
        host,
        crashChance: () => (this.#areFaultsOn() ? 0.02 : 0),
        died: () => this.#restartAgent(member)
      })
      const openRun = (): Command | undefined => agent.journal.openRuns()[0]?.task.command
      const member: Member = { agent, name: `host-${index}`, isCutOff: false, session: undefined }
      this.members.push(member)
    }
    const parallelism = random.chance(0.3)
      ? { unit: 'percent' as const, value: 50 }
      : { unit: 'count' as const, value: random.integer(0, count) }
    await this.store.transaction(async (tx) => {
      await tx.setInstallation('ins_00000000000000000000' as InstallationId)
      await tx.insertEnvironment({ name: environment, createdAtMs: startMs })
      for (const { agent, name } of this.members)
        await tx.putAgent(agentRow(agent.id, name, environment, startMs))
      await tx.insertSpec({
        service,
        environment,
        revision: 1,
        appliedAtMs: startMs,
        appliedBy: 'sim',
        spec: sampleSpec({
          image: { repository: 'registry/web', tag: null, digest: null },
          healthyTimeoutMs: 12_000,
          update: {
            ...sampleSpec().update,
            parallelism,
            monitorMs: 1_000,
            delayMs: random.pick([0, 0, 2_000])
          }
        })
      })
    })
  }

  /** Most deployments begin with everybody there, so that they get further than a refusal. */
  async #gather(): Promise<void> {
    this.#faultUntilMs = 0
    const untilMs = this.time.nowMs() + 300_000
    const isThere = ({ agent, session }: Member) =>
      agent.isAlive() && agent.host.isUp() && session?.isCut() === false
    await this.#passUntil(
      () => this.time.nowMs() > untilMs || (this.controller.isAlive() && this.members.every(isThere))
    )
    await this.#pass(1_000)
  }

  /** The first image is good most of the time, so that there is something to lose. */
  async #deploy(round: number): Promise<string | undefined> {
    const isGood = this.random.chance(round === 0 ? 0.85 : 0.5)
    const behaviour: Behaviour = isGood
      ? 'serves'
      : this.random.pick(['exits', 'never-healthy', 'dies-later'])
    const tag = `v${round + 1}`
    const hex = Array.from(this.random.bytes(32), (byte) => byte.toString(16).padStart(2, '0')).join('')
    this.registry.tags.set(tag, { digest: `sha256:${hex}` as never, behaviour })
    const view = await this.#ask(tag)
    if (view !== undefined && this.random.chance(0.2)) this.#cancelSoon(view.id)
    return view?.id
  }

  /** Asks until the controller is there; a refusal is an answer too. */
  async #ask(tag: string): Promise<DeploymentView | undefined> {
    for (;;) {
      await this.#passUntil(() => this.controller.isAlive())
      const asked = this.controller.deployments().request(operator, {
        service,
        environment,
        what: { by: 'tag', tag },
        recreate: this.random.chance(0.1),
        mode: 'deploy',
        offline: this.random.chance(0.3) ? 'skip' : 'fail',
        replace: null,
        idempotencyKey: null,
        reason: null
      })
      const answer = await this.#orCrash(asked)
      if (answer === 'crashed') {
        const open = [...this.states.values()].find(({ phase }) => phase !== 'ended')
        if (open !== undefined) return { id: open.id } as DeploymentView
        continue
      }
      return answer
    }
  }

  async #orCrash<T>(asked: Promise<T>): Promise<T | 'crashed' | undefined> {
    let answer: { value: T } | 'refused' | undefined
    asked.then(
      (value) => {
        answer = { value }
      },
      (error: unknown) => {
        if (error instanceof ApiError) answer = 'refused'
        else this.#failure ??= error
      }
    )
    await settle()
    this.#throwFailure()
    if (answer === undefined) return 'crashed'
    return answer === 'refused' ? undefined : answer.value
  }

  #cancelSoon(id: string): void {
    this.#later(this.random.integer(0, 20_000), () => {
      if (!this.controller.isAlive()) return
      this.controller
        .deployments()
        .cancel(operator, id)
        .catch((error: unknown) => {
          if (!(error instanceof ApiError)) this.#failure ??= error
        })
    })
  }

  async #waitForEnd(id: string): Promise<string> {
    await this.#passUntil(() => this.states.get(id)?.phase === 'ended')
    return this.states.get(id)?.outcome ?? 'none'
  }

  #noteCommit(state: DeploymentState): void {
    const former = this.states.get(state.id)
    this.states.set(state.id, state)
    this.#trace(describeState(state))
    if (state.phase !== 'ended' || former?.phase === 'ended') return
    try {
      checkEnd(this.members, state)
    } catch (error) {
      this.#failure ??= error
    }
  }

  // Faults

  #areFaultsOn(): boolean {
    return this.time.nowMs() < this.#faultUntilMs
  }

  #scheduleFaults(): void {
    this.#later(this.random.integer(200, 15_000), () => {
      if (!this.#areFaultsOn()) return
      this.#strike()
      this.#scheduleFaults()
    })
  }

  #strike(): void {
    this.#faults += 1
    const member = this.random.pick(this.members)
    const fault = this.random.pick([
      'agent',
      'controller',
      'engine',
      'network',
      'network',
      'registry',
      'prune'
    ] as const)
    this.#trace(`fault: ${fault} (${member.name})`)
    switch (fault) {
      case 'agent':
        if (!member.agent.isAlive()) return
        member.agent.kill()
        this.#restartAgent(member)
        return
      case 'controller':
        if (!this.controller.isAlive()) return
        this.controller.kill()
        this.#restartController()
        return
      case 'engine':
        if (member.agent.host.isUp()) member.agent.host.restart(this.random.integer(300, 8_000))
        return
      case 'network':
        this.#cutOff(member)
        return
      case 'registry':
        this.registry.isDown = true
        this.#later(this.random.integer(500, 10_000), () => {
          this.registry.isDown = false
        })
        return
      case 'prune':
        member.agent.host.prune()
        return
      default:
        fault satisfies never
    }
  }

  #restartAgent(member: Member): void {
    this.#faults += 1
    this.#trace(`the agent of ${member.name} died`)
    this.#noticeLoss(member)
    this.#later(this.random.integer(100, 30_000), () => {
      if (!member.agent.isAlive()) this.#startAgent(member)
    })
  }

  #startAgent(member: Member): void {
    member.agent.start()
    this.#connectSoon(member)
  }

  #restartController(): void {
    this.#faults += 1
    this.#trace('the controller died')
    this.#later(this.random.integer(100, 30_000), () => {
      if (this.controller.isAlive()) return
      this.controller.start().catch((error: unknown) => {
        this.#failure ??= error
      })
    })
    for (const member of this.members) this.#connectSoon(member)
  }

  #cutOff(member: Member): void {
    if (member.isCutOff) return
    member.isCutOff = true
    this.#noticeLoss(member)
    this.#later(this.random.integer(500, 200_000), () => {
      member.isCutOff = false
      this.#connectSoon(member)
    })
  }

  /** The session is dead; the controller hears of it between at once and the silence limit. */
  #noticeLoss(member: Member): void {
    const { session } = member
    if (session === undefined) return
    session.cut()
    member.session = undefined
    this.#later(this.random.integer(0, 40_000), () => this.controller.lose(member.agent.id, session))
  }

  /** Tries until there is a session. */
  #connectSoon(member: Member): void {
    this.#later(this.random.integer(50, 3_000), () => {
      if (!member.agent.isAlive() || member.isCutOff || member.session?.isCut() === false) return
      if (!this.controller.isAlive()) return this.#connectSoon(member)
      const session: SimulatedSession = openSession(
        {
          onUp: (message) => this.controller.hear(member.agent.id, session, message),
          onDown: (message) => member.agent.hear(message)
        },
        this.time.clockFor(() => true),
        this.random
      )
      member.session = session
      this.controller.admit(member.agent.id, session)
      member.agent.greet(session)
    })
  }

  // Time

  #later(delayMs: number, wake: () => void): void {
    this.time.clockFor(() => true).after(delayMs, wake)
  }

  async #passUntil(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (this.time.nowMs() - startMs > longestMs) throw new Violation('stuck: a deployment does not end')
      if (!this.time.passToNext()) throw new Violation('stuck: nothing waits and nothing has ended')
      await settle()
      this.#throwFailure()
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** From here on nothing dies; everything that is away comes back. */
  async #heal(): Promise<void> {
    this.#faultUntilMs = 0
    await this.#pass(15 * 60_000)
  }

  async #pass(durationMs: number): Promise<void> {
    const untilMs = this.time.nowMs() + durationMs
    await this.#passUntil(() => this.time.nowMs() > untilMs)
  }

  async #settleLast(): Promise<DeploymentView | undefined> {
    const last = [...this.states.keys()].at(-1)
    if (last === undefined) return undefined
    const view = await this.#orCrash(this.controller.deployments().view(last))
    return view === 'crashed' ? undefined : view
  }

  #currentRelease(row: { number: number } | undefined): number | null {
    return row?.number ?? null
  }
}

const describeState = (state: DeploymentState): string => {
  const targets = state.targets.map(
    ({ host, state: is, serving, inFlight }) => `${host} ${is}/${serving}/${inFlight?.kind ?? '-'}`
  )
  const releases = state.parts.map(({ service: name, release }) => `${name} r${release}`).join(' ')
  return `${releases} ${state.phase} ${state.outcome ?? ''} [${targets.join(', ')}] ${state.reason ?? ''}`
}
