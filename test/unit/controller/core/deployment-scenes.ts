// A deployment in the making, for tests of the machine: hosts that are told what to answer.
import type { AgentId, Digest, RunOutcome, Serving } from '@longshore/protocol'
import type {
  DeploymentState,
  Effect,
  Requested,
  Step
} from '../../../../packages/controller/src/core/deployment/state.ts'
import { begin, step } from '../../../../packages/controller/src/core/deployment/step.ts'

export const digestOf = (character: string) => `sha256:${character.repeat(64)}` as Digest
export const agentOf = (host: string) => `agt_${host.padStart(20, '0')}` as AgentId

export const timing = {
  lostAfterMs: 60_000,
  startWithinMs: 120_000,
  resolveLimitMs: 60_000,
  runLimitMs: 900_000,
  reportGraceMs: 60_000,
  revertWithinMs: 604_800_000
}
export const current = { release: 6, repository: 'api', digest: digestOf('6'), specRevision: 1 }

export const requestOf = (hosts: string[], change: Partial<Requested> = {}): Requested => ({
  kind: 'requested',
  atMs: 0,
  id: 'dep_00000000000000000001' as Requested['id'],
  service: 'api' as Requested['service'],
  environment: 'staging' as Requested['environment'],
  release: 7,
  current,
  repository: 'api',
  tag: 'v7',
  digest: digestOf('7'),
  specRevision: 1,
  recreate: false,
  replace: null,
  offline: 'fail',
  rollout: { parallelism: { unit: 'count', value: 1 }, delayMs: 0, maxFailureRatio: 0 },
  keepImages: 3,
  timing,
  knownTags: [],
  warnings: [],
  targets: hosts.map((host) => ({ agent: agentOf(host), host, isConnected: true })),
  ...change
})

/** @param former the release that the host runs; null: none */
export const staged = (isRunning = false, layer = 'a', former: number | null = 6): RunOutcome => ({
  status: 'succeeded',
  result: {
    kind: 'stage',
    image: { digest: digestOf('7'), platform: 'linux/amd64', diffIds: [digestOf(layer)], sizeBytes: 1 },
    isRunning
  },
  serving: isRunning ? 'new' : former === null ? 'none' : 'old',
  release: isRunning ? 7 : former
})
export const released: RunOutcome = {
  status: 'succeeded',
  result: { kind: 'release', containers: ['abc'] },
  serving: 'new',
  release: 7
}
export const wentBack = (kind: 'revert' | 'remove', serving: Serving): RunOutcome => ({
  status: 'succeeded',
  result: { kind },
  serving,
  release: null
})
export const failed = (
  serving: Serving,
  code: 'container-exited' | 'cancelled' | 'image-not-found' | 'registry-unavailable' = 'container-exited',
  detail = 'the container exited with code 1 before it was healthy'
): RunOutcome => ({
  status: 'failed',
  error: { code, detail, step: 'wait-healthy', log: ['boom'] },
  serving,
  release: null
})

/** Drives the machine by hand: each call is one event, `atMs` goes on by a second. */
export class Scene {
  state: DeploymentState
  effects: Effect[]
  all: Effect[] = []
  atMs = 0

  constructor(request: Requested) {
    const first = begin(request)
    this.state = first.state
    this.effects = first.effects
    this.all.push(...first.effects)
  }

  #take(next: Step): void {
    this.state = next.state
    this.effects = next.effects
    this.all.push(...next.effects)
  }

  report(host: string, outcome: RunOutcome, index = this.target(host).inFlight?.index): void {
    if (index === undefined) throw new Error(`host ${host} has no command in flight`)
    this.atMs += 1000
    this.#take(
      step(this.state, { kind: 'commandReported', atMs: this.atMs, agent: agentOf(host), index, outcome })
    )
  }

  refuse(host: string, code: 'policy' | 'stale' | 'expired'): void {
    const index = this.target(host).inFlight?.index
    if (index === undefined) throw new Error(`host ${host} has no command in flight`)
    this.atMs += 1000
    const event = {
      kind: 'commandRefused',
      atMs: this.atMs,
      agent: agentOf(host),
      index,
      code,
      detail: 'no'
    } as const
    this.#take(step(this.state, event))
  }

  presence(kind: 'hostConnected' | 'hostDisconnected', host: string): void {
    this.atMs += 1000
    this.#take(step(this.state, { kind, atMs: this.atMs, agent: agentOf(host) }))
  }

  cancel(): void {
    this.atMs += 1000
    this.#take(step(this.state, { kind: 'cancelRequested', atMs: this.atMs, by: 'jenkins' }))
  }

  restart(): void {
    this.#take(step(this.state, { kind: 'controllerRestarted', atMs: this.atMs }))
  }

  pass(ms: number): void {
    this.atMs += ms
    this.#take(step(this.state, { kind: 'timePassed', atMs: this.atMs }))
  }

  target(host: string) {
    const target = this.state.targets.find((one) => one.host === host)
    if (target === undefined) throw new Error(`there is no host ${host}`)
    return target
  }

  /** Commands of the last step, as `host kind`. */
  get sent(): string[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'sendCommand' ? `${effect.agent.slice(4).replace(/^0+/, '')} ${effect.order.kind}` : []
    )
  }

  get states(): string {
    return this.state.targets.map((target) => `${target.host} ${target.state}`).join(', ')
  }
}
