// What must hold in every run of the simulation, whatever dies when: what is watched while it runs. What must hold
// once everything has calmed down stands in calm.ts.
import { type Command, type CommandId, compareFences, type Fence, isLook } from '@longshore/protocol'
import {
  type DeploymentState,
  isRepair,
  partOf
} from '../../packages/controller/src/core/deployment/state.ts'
import type { DeploymentRow, LeaseRow, OutboxRow } from '../../packages/controller/src/ports.ts'
import type { Member } from './fleet-parts.ts'
import { purposeOf, type SimulatedContainer } from './simulated-engine.ts'

export class Violation extends Error {
  override readonly name = 'Violation'
}

export const demand = (isTrue: boolean, what: string): void => {
  if (!isTrue) throw new Violation(what)
}

/** Phases in which not every target is known to be ready. */
const early = ['requested', 'planning', 'staging', 'preparing', 'rehearsing']
/** Modes that hold the service for themselves. */
const exclusive = ['deploy', 'rehearse', 'remove']

export class Watch {
  /** As committed last, in the order of their beginning. */
  readonly states = new Map<string, DeploymentState>()
  readonly rows = new Map<string, DeploymentRow>()
  /** Service -> number of the release that is current; null: removed. */
  readonly current = new Map<string, number | null>()
  /** Service -> generation of the deployment that decided what is current. */
  readonly decidedBy = new Map<string, number>()
  /** Service -> the most containers that any revision of its spec wants on a host. */
  readonly replicas = new Map<string, number>()
  readonly #members: readonly Member[]
  readonly #taken = new Set<string>()
  readonly #fences = new Map<string, Fence>()
  readonly #runOnce = new Map<string, string>()
  readonly #startedOnce = new Map<string, number>()
  /** Deployment, service and agent -> the last command to stage. */
  readonly #stages = new Map<string, CommandId>()
  readonly #given = new Set<string>()
  #lease: LeaseRow | undefined

  constructor(members: readonly Member[]) {
    this.#members = members
  }

  /** An agent has written a command into its journal: it will be carried out. */
  took({ name, agent, hasClone }: Member, command: Command): void {
    const { id, service, deployment, body, fence } = command
    const machine = `${name} ${agent.id}`
    demand(!this.#taken.has(`${machine} ${id}`), `${name} took the command ${id} twice`)
    this.#taken.add(`${machine} ${id}`)
    const mode = this.states.get(deployment)?.mode
    if (mode === 'plan') demand(isLook(body.kind), `a plan made ${name} do ${body.kind}`)
    if (body.kind === 'stage') this.#stages.set(`${deployment} ${service} ${agent.id}`, id)
    if (isLook(body.kind)) return
    const highest = this.#fences.get(`${machine} ${service}`)
    demand(
      highest === undefined || compareFences(fence, highest) > 0,
      `${name} took ${body.kind} with fence ${words(fence)} after ${highest && words(highest)}`
    )
    this.#fences.set(`${machine} ${service}`, fence)
    if (body.kind !== 'run-once' || hasClone) return
    const first = this.#runOnce.get(`${deployment} ${service}`)
    demand(first === undefined, `the release command was given to ${first} and to ${name}`)
    this.#runOnce.set(`${deployment} ${service}`, name)
  }

  /** An engine is asked to start one of our containers. */
  starting({ name, hasClone }: Member, container: SimulatedContainer): void {
    const { owner } = container
    if (owner === null || purposeOf(container) !== 'once' || hasClone) return
    const key = `${owner.deployment} ${owner.service}`
    const starts = (this.#startedOnce.get(key) ?? 0) + 1
    this.#startedOnce.set(key, starts)
    demand(starts === 1, `the release command of ${key} was started ${starts} times, last on ${name}`)
  }

  /** An engine is asked to stop one of our containers, which runs. */
  stopping(member: Member, container: SimulatedContainer): void {
    const { name, agent, hasClone } = member
    const { owner } = container
    if (owner === null || purposeOf(container) !== 'serving') return
    const run = agent.journal
      .openRuns()
      .map(({ task }) => task.command)
      .find(({ service, body }) => service === owner.service && !isLook(body.kind))
    const state = run === undefined ? undefined : this.states.get(run.deployment)
    const what = `${container.name} on ${name}`
    demand(state !== undefined, `${what} was stopped without a run in the journal`)
    if (run === undefined || state === undefined) return
    const { mode, phase } = state
    demand(mode !== 'plan' && mode !== 'rehearse', `a ${mode} stopped ${what}`)
    demand(!early.includes(phase), `${run.body.kind} stopped ${what} while its deployment was ${phase}`)
    const isCurrent = this.current.get(owner.service) === owner.release && owner.command !== run.id
    const isShort = shouldServe(member, owner.service).length < (this.replicas.get(owner.service) ?? 1)
    demand(
      mode !== 'converge' || hasClone || !isCurrent || isShort || container.behaviour !== 'serves',
      `convergence stopped ${what}, which is the current release and well`
    )
  }

  /** A transaction is in the store: who has the lease, and the rows of commands in it. */
  ruled(lease: LeaseRow | undefined, commands: readonly OutboxRow[]): void {
    const former = this.#lease
    if (lease !== undefined && former !== undefined && lease.owner !== former.owner)
      demand(
        lease.epoch > former.epoch,
        `${lease.owner} took over with the epoch ${lease.epoch} after ${former.epoch}`
      )
    this.#lease = lease ?? former
    for (const { command, fence } of commands) {
      const isNew = !this.#given.has(command)
      this.#given.add(command)
      demand(
        !isNew || fence.epoch === this.#lease?.epoch,
        `${command} was given with the fence ${words(fence)} in the epoch ${this.#lease?.epoch}`
      )
    }
  }

  committed(row: DeploymentRow): void {
    const state = row.state as DeploymentState
    const former = this.states.get(row.id)
    this.states.set(row.id, state)
    this.rows.set(row.id, row)
    if (former === undefined) this.#checkAlone(state)
    if (state.phase === 'rolling' && former?.phase !== 'rolling') this.#checkStaged(state)
    if (former?.phase === 'ended')
      demand(
        former.outcome === state.outcome && state.phase === 'ended',
        `${row.id} had ended ${former.outcome} and is ${state.phase} ${state.outcome} now`
      )
    if (state.phase !== 'ended' || former?.phase === 'ended') return
    this.#noteCurrent(state)
    this.#checkEnd(state)
  }

  /** All that have not ended, without plans. */
  open(): DeploymentState[] {
    return [...this.states.values()].filter(({ phase, mode }) => phase !== 'ended' && mode !== 'plan')
  }

  #checkAlone(state: DeploymentState): void {
    if (!exclusive.includes(state.mode)) return
    for (const other of this.open()) {
      if (other.id === state.id || !exclusive.includes(other.mode)) continue
      const shared = state.parts.find(({ service }) => other.parts.some((part) => part.service === service))
      demand(shared === undefined, `${other.id} and ${state.id} both work on ${shared?.service}`)
    }
  }

  /** Before anything is stopped anywhere, every host has fetched and verified what it will run. */
  #checkStaged({ id, mode, targets }: DeploymentState): void {
    if (mode === 'remove') return
    for (const { service, agent: target, host, state } of targets) {
      const member = this.#members.find(({ agent }) => agent.id === target)
      // what a host is only freed of needs no image
      const isToStage = state !== 'skipped' && state !== 'removing'
      if (!isToStage || member === undefined || member.hasClone) continue
      const stage = this.#stages.get(`${id} ${service} ${target}`)
      const report = stage === undefined ? undefined : member.agent.journal.find(stage)?.report
      demand(report?.outcome.status === 'succeeded', `${id} began to switch before ${host} had ${service}`)
    }
  }

  #noteCurrent({ mode, outcome, parts }: DeploymentState): void {
    // hosts that were away from a removal obey when they return
    const isDecided = outcome === 'succeeded' || (mode === 'remove' && outcome === 'mixed')
    if (!isDecided || (mode !== 'deploy' && mode !== 'remove')) return
    for (const { service, release, generation } of parts) {
      this.current.set(service, mode === 'deploy' ? release : null)
      this.decidedBy.set(service, generation)
    }
  }

  /** At the moment in which a deployment ends, its outcome is true of every target. */
  #checkEnd(state: DeploymentState): void {
    if (state.mode === 'plan') return
    for (const target of state.targets) {
      const member = this.#members.find(({ agent }) => agent.id === target.agent)
      // who was set up again since, or is in two places, is not what the deployment knew
      if (target.state === 'skipped' || member === undefined || member.hasClone) continue
      const part = partOf(state, target)
      const serving = shouldServe(member, target.service)
      // who never voted may run that release since an earlier deployment: only what this one brought counts
      const isKnown = target.serving !== 'unknown'
      const runsNew = serving.some(
        ({ owner }) => owner?.release === part.release && (isKnown || owner.deployment === state.id)
      )
      const said = `${state.mode} ${state.outcome} with ${target.service} release ${part.release}, but ${target.host}`
      if (target.state === 'removed') {
        demand(serving.length === 0, `${said} serves ${wordsOf(serving)}`)
        continue
      }
      if (state.mode === 'remove') continue
      switch (state.outcome) {
        case 'succeeded':
          if (state.mode === 'rehearse') break
          demand(target.state === 'released', `${said} is ${target.state}`)
          demand(
            runsNew && serving.every(({ owner }) => owner?.release === part.release),
            `${said} serves ${wordsOf(serving)}`
          )
          break
        case 'reverted':
        case 'cancelled':
        case 'refused':
          demand(!runsNew || target.isRunning || isRepair(part), `${said} serves ${wordsOf(serving)}`)
          break
        case 'mixed':
        case null:
          break
        default:
          state.outcome satisfies never
      }
    }
  }
}

/** Of one service: runs now, or will as soon as the engine is back. */
export const shouldServe = ({ host }: Member, service: string): SimulatedContainer[] =>
  [...host.containers.values()].filter(
    (one) =>
      one.owner?.service === service &&
      purposeOf(one) === 'serving' &&
      (one.state === 'running' || (one.restart.name !== 'no' && one.state === 'exited'))
  )

export const wordsOf = (containers: readonly SimulatedContainer[]): string =>
  containers.map(({ name, state }) => `${name} (${state})`).join(' and ') || 'nothing'

const words = ({ generation, epoch, index }: Fence): string => `${generation}.${epoch}.${index}`
