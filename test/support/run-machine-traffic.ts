// The engine of run-machine.ts with a HAProxy beside it, both of plain data: who holds which port, who gets the traffic.
// What must never be is written down as it happens.
import type { Observation } from '../../packages/agent/src/core/observation.ts'
import type { ServiceRoute } from '../../packages/agent/src/core/proxy/routes.ts'
import type { StepResult } from '../../packages/agent/src/core/run-state.ts'
import type { ContainerRef, Routed, Step } from '../../packages/agent/src/core/steps.ts'
import { failed, refersTo, type Sim, SimulatedEngine } from './run-machine.ts'

const done: StepResult = { kind: 'done', finding: { kind: 'nothing' } }

export class TrafficEngine extends SimulatedEngine {
  route: ServiceRoute | null = null
  subnet: string | null = null
  /** Healthy at first; down once it is watched. */
  isNextDying = false
  isNextWorse = false
  /** Every step so far, forward and back. */
  readonly performed: Step['kind'][] = []

  override perform(step: Step): StepResult {
    this.performed.push(step.kind)
    const hadTraffic = this.hasTraffic()
    const count = this.violations.length
    const result = this.#performTraffic(step) ?? super.perform(step)
    if (result.kind === 'done') this.#publish()
    // Beside each other is what start-first is.
    for (const one of this.violations.splice(count))
      if (one !== 'two releases run at once' && one !== 'stopped before created') this.violations.push(one)
    if (hadTraffic && !this.hasTraffic() && !isExpected(step))
      this.violations.push(`${step.kind} took the traffic away`)
    return result
  }

  override observe(): Observation {
    return {
      ...super.observe(),
      traffic: {
        route: this.route,
        network: {
          subnet: this.subnet,
          candidates: ['172.30.77.0/24'],
          occupied: [],
          taken: this.containers.flatMap((one) => one.ownAddress ?? []),
          kept: []
        }
      }
    }
  }

  /** Whether HAProxy sends traffic, all of it to containers that run. */
  hasTraffic(): boolean {
    const ids = this.route?.containers.map(({ id }) => id) ?? []
    return ids.length > 0 && ids.every((id) => this.containers.some((one) => one.id === id && isRunning(one)))
  }

  /** Releases that answer on the port: by HAProxy, or by a container that holds it. */
  answering(): number[] {
    const routed = this.containers.filter((one) => this.route?.containers.some(({ id }) => id === one.id))
    const holding = this.containers.filter((one) => one.publishes.length > 0)
    return [...routed, ...holding].filter(isRunning).map((one) => one.owner?.release ?? 0)
  }

  /** A container that Longshore did not make, running on the port of the samples. */
  addStranger(name: string): void {
    this.containers.push({
      id: name,
      name,
      state: 'running',
      health: 'none',
      image: name,
      createdAtMs: 0,
      restart: { name: 'always', maxRetries: 0 },
      owner: null,
      publishes: [{ port: 80, protocol: 'tcp', hostIp: null }],
      ownAddress: null,
      isBroken: false
    })
  }

  #performTraffic(step: Step): StepResult | undefined {
    switch (step.kind) {
      case 'create-own-network':
        this.subnet = step.subnet
        return done
      case 'switch-traffic':
        return this.#switch(step.to)
      case 'take-over-ports':
        for (const { container } of step.holders) this.#stop(container)
        this.#publish()
        return this.#switch(step.to)
      case 'close-ports':
        this.route = null
        return done
      case 'share-traffic': {
        const containers = [...step.to.containers, ...step.former.containers]
        const shared = this.#switch({ route: step.to.route, containers })
        return this.isNextWorse ? failed('worse-than-before') : shared
      }
      case 'drain-containers':
        return this.#drain(step.containers)
      case 'monitor':
        return this.isNextDying && this.#kill(step.containers) ? failed('container-exited') : done
      default:
        return undefined
    }
  }

  #switch({ route, containers }: Routed): StepResult {
    const found = containers.map((ref) => this.containers.find((one) => refersTo(ref, one)))
    if (found.some((one) => one === undefined || !isRunning(one))) return failed('container-exited')
    if (this.containers.some((one) => isRunning(one) && one.publishes.length > 0)) {
      this.violations.push('HAProxy took a port that a container holds')
      return failed('port-taken')
    }
    const routed = found.flatMap((one) =>
      one?.ownAddress == null ? [] : [{ id: one.id, address: one.ownAddress }]
    )
    if (routed.length < containers.length) this.violations.push('traffic to a container without an address')
    this.route = { ...route, containers: routed }
    return { kind: 'done', finding: { kind: 'switched', switchMs: 1, gapMs: null } }
  }

  #drain(refs: readonly ContainerRef[]): StepResult {
    const isServing = this.containers.some(
      (one) =>
        refs.some((ref) => refersTo(ref, one)) && this.route?.containers.some(({ id }) => id === one.id)
    )
    if (isServing) this.violations.push('drained a container that gets traffic')
    return {
      kind: 'done',
      finding: { kind: 'drained', drainMs: 1, closed: { requests: 0, upgraded: 0 } }
    }
  }

  /** Those that get the traffic go down by themselves, whenever they are watched. */
  #kill(refs: readonly ContainerRef[]): boolean {
    for (const ref of refs) this.#stop(ref)
    return true
  }

  #stop(ref: ContainerRef): void {
    for (const one of this.containers)
      if (refersTo(ref, one)) Object.assign(one, { state: 'exited', restart: { name: 'no', maxRetries: 0 } })
  }

  /** Docker publishes for what runs, and for nothing else. */
  #publish(): void {
    for (const one of this.containers) {
      if (one.owner === null) {
        one.publishes = isRunning(one) ? [{ port: 80, protocol: 'tcp', hostIp: null }] : []
      } else if (one.ownAddress === null && isRunning(one)) {
        one.publishes = [{ port: 80, protocol: 'tcp', hostIp: null }]
        if (this.route !== null) this.violations.push('a container was started on a port that HAProxy holds')
      } else one.publishes = []
    }
  }
}

/** Ports are closed on purpose; a container that dies is nobody's doing. */
const isExpected = ({ kind }: Step): boolean => kind === 'close-ports' || kind === 'monitor'

const isRunning = (one: Sim): boolean => one.state === 'running'
