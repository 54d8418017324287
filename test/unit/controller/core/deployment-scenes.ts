// A deployment in the making, for tests of the machine: hosts that are told what to answer.
import type { AgentId, Digest, RunErrorCode, RunOutcome, ServiceName, Serving } from '@longshore/protocol'
import type {
  Effect,
  Requested,
  RequestedPart,
  Step
} from '../../../../packages/controller/src/core/deployment/events.ts'
import type {
  DeploymentState,
  Stored,
  Target
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
  revertWithinMs: 604_800_000,
  pauseLimitMs: 3_600_000
}
export const current = { release: 6, repository: 'api', digest: digestOf('6'), specRevision: 1 }

export const api = 'api' as ServiceName

export const rolloutOf = (change: Partial<RequestedPart['rollout']> = {}): RequestedPart['rollout'] => ({
  canary: null,
  parallelism: { unit: 'count', value: 1 },
  delayMs: 0,
  maxFailureRatio: 0,
  failureAction: 'rollback',
  ...change
})

export const partOf = (change: Partial<RequestedPart> = {}): RequestedPart => ({
  service: api,
  generation: 1,
  release: 7,
  current,
  repository: 'api',
  tag: 'v7',
  digest: digestOf('7'),
  specRevision: 1,
  recreate: false,
  replace: null,
  rollout: rolloutOf(),
  keepImages: 3,
  knownTags: [],
  releaseCommand: null,
  removal: null,
  ...change
})

export const targetsOf = (hosts: string[], service = api): Requested['targets'] =>
  hosts.map((host) => ({ service, agent: agentOf(host), host, isConnected: true }))

export const requestOf = (hosts: string[], change: Partial<RequestedPart> = {}): Requested => ({
  kind: 'requested',
  atMs: 0,
  id: 'dep_00000000000000000001' as Requested['id'],
  environment: 'staging' as Requested['environment'],
  mode: 'deploy',
  offline: 'fail',
  timing,
  warnings: [],
  refusals: [],
  parts: [partOf(change)],
  targets: targetsOf(hosts)
})

/** Several services on the same hosts: release 7 of each, after release 6. */
export const requestOfServices = (
  services: string[],
  hosts: string[],
  change: Partial<RequestedPart> = {}
): Requested => ({
  ...requestOf(hosts),
  parts: services.map((service) => partOf({ service: service as ServiceName, ...change })),
  targets: services.flatMap((service) => targetsOf(hosts, service as ServiceName))
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
export const resolved: RunOutcome = {
  status: 'succeeded',
  result: { kind: 'resolve', digest: digestOf('7') },
  serving: 'old',
  release: 6
}
export const planned = (objections: string[] = [], isRunning = false): RunOutcome => ({
  status: 'succeeded',
  result: {
    kind: 'plan',
    isRunning,
    serves: { release: 6, image: 'api:v6' },
    steps: ['fetch api:v7', 'stop api-r6-0', 'start api-r7-0'],
    refusals: objections.map((detail) => ({ code: 'port-taken', detail }))
  },
  serving: isRunning ? 'new' : 'old',
  release: 6
})
export const ranOnce: RunOutcome = {
  status: 'succeeded',
  result: { kind: 'run-once', exitCode: 0, log: ['migrated'] },
  serving: 'old',
  release: 6
}
export const rehearsed: RunOutcome = {
  status: 'succeeded',
  result: { kind: 'rehearse' },
  serving: 'old',
  release: 6
}
export const upgraded: RunOutcome = {
  status: 'succeeded',
  result: { kind: 'upgrade', version: '0.2.0', former: '0.1.0' },
  serving: 'new',
  release: null
}
export const wentBack = (kind: 'revert' | 'remove', serving: Serving): RunOutcome => ({
  status: 'succeeded',
  result: { kind },
  serving,
  release: null
})
export const failed = (
  serving: Serving,
  code: RunErrorCode = 'container-exited',
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

  /** @param host `a`, or `a api` where there are several services */
  report(host: string, outcome: RunOutcome, index = this.target(host).inFlight?.index): void {
    if (index === undefined) throw new Error(`host ${host} has no command in flight`)
    this.atMs += 1000
    const { service, agent } = this.target(host)
    this.#take(step(this.state, { kind: 'commandReported', atMs: this.atMs, service, agent, index, outcome }))
  }

  refuse(host: string, code: 'policy' | 'stale' | 'expired'): void {
    const { service, agent, inFlight } = this.target(host)
    if (inFlight === null) throw new Error(`host ${host} has no command in flight`)
    this.atMs += 1000
    const { index } = inFlight
    const event = {
      kind: 'commandRefused',
      atMs: this.atMs,
      service,
      agent,
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

  gone(host: string, why: string): void {
    this.atMs += 1000
    this.#take(step(this.state, { kind: 'hostGone', atMs: this.atMs, agent: agentOf(host), why }))
  }

  /** Somebody sets the clock. */
  jump(byMs: number): void {
    this.atMs += byMs
    this.#take(step(this.state, { kind: 'clockJumped', atMs: this.atMs, byMs }))
  }

  /** The registry told the controller what its image is made of; nothing: it did not. */
  compared(configs: Digest[], service = api): void {
    this.atMs += 1000
    this.#take(step(this.state, { kind: 'imageCompared', atMs: this.atMs, service, configs }))
  }

  /** By the controller; a text: why it could not be. */
  fetched(result: Stored | string, service = api): void {
    this.atMs += 1000
    const event = { atMs: this.atMs, service }
    this.#take(
      step(
        this.state,
        typeof result === 'string'
          ? { kind: 'imageNotFetched', ...event, detail: result }
          : { kind: 'imageFetched', ...event, artifact: result }
      )
    )
  }

  cancel(): void {
    this.atMs += 1000
    this.#take(step(this.state, { kind: 'cancelRequested', atMs: this.atMs, by: 'jenkins' }))
  }

  resume(): void {
    this.atMs += 1000
    this.#take(step(this.state, { kind: 'resumed', atMs: this.atMs, by: 'ops' }))
  }

  restart(): void {
    this.#take(step(this.state, { kind: 'controllerRestarted', atMs: this.atMs }))
  }

  pass(ms: number): void {
    this.atMs += ms
    this.#take(step(this.state, { kind: 'timePassed', atMs: this.atMs }))
  }

  target(host: string): Target {
    const target = this.state.targets.find((one) => host === one.host || host === this.#nameOf(one))
    if (target === undefined) throw new Error(`there is no host ${host}`)
    return target
  }

  #nameOf({ host, service }: Pick<Target, 'host' | 'service'>): string {
    return this.state.parts.length === 1 ? host : `${host} ${service}`
  }

  /** Commands of the last step, as `host kind`, or `host service kind`. */
  get sent(): string[] {
    return this.effects.flatMap((effect) => {
      if (effect.kind !== 'sendCommand') return []
      const host = effect.agent.slice(4).replace(/^0+/, '')
      return `${this.#nameOf({ host, service: effect.service })} ${effect.order.kind}`
    })
  }

  get states(): string {
    return this.state.targets.map((target) => `${this.#nameOf(target)} ${target.state}`).join(', ')
  }
}
