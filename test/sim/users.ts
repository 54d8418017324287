// What people and pipelines ask of a seeded world: deployments of every kind, good and bad images, cancels, decisions
// on a pause, new revisions of the specs. Drawn from the seed.
import type { Amount, ServiceName, ServiceSpec } from '@longshore/protocol'
import type { DeployRequest } from '../../packages/controller/src/api/schemas.ts'
import type { DeploymentState } from '../../packages/controller/src/core/deployment/state.ts'
import { sampleSpec } from '../support/run-samples.ts'
import type { Fleet } from './fleet.ts'
import { environment, operator } from './fleet-parts.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { Behaviour, CommandBehaviour } from './simulated-engine.ts'

export const services = ['web', 'api'] as ServiceName[]
const commands: CommandBehaviour[] = ['succeed', 'succeed', 'succeed', 'succeed', 'fail', 'hang']
/** What is asked for; each as often as it stands here. */
const wishes = [
  'deploy',
  'deploy',
  'deploy',
  'deploy',
  'together',
  'together',
  'rollback',
  'restart',
  'rehearse',
  'plan',
  'remove'
] as const

export class Users {
  readonly #fleet: Fleet
  readonly #random: SeededRandom
  readonly #decided = new Set<string>()
  #images = 0

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    this.#random = fleet.random
    fleet.onCommit = (state) => this.#decide(state)
  }

  /** @returns the ids of the deployments that this began */
  async act(round: number): Promise<string[]> {
    const random = this.#random
    if (round > 0 && random.chance(0.2)) await this.#apply(random.pick(services))
    const count = random.chance(0.3) ? 2 : 1
    const ids: string[] = []
    for (let asked = 0; asked < count; asked += 1) {
      const id = await this.#ask(this.#wish(round))
      if (id === undefined) continue
      ids.push(id)
      if (random.chance(0.25)) this.#steerSoon(id, 'cancel')
      if (asked + 1 < count) await this.#fleet.pass(random.integer(0, 15_000))
    }
    return ids
  }

  /** Placement and pace of a service at the beginning. */
  spec(service: ServiceName): ServiceSpec {
    const random = this.#random
    const amount = (): Amount =>
      random.chance(0.3) ? { unit: 'percent', value: 50 } : { unit: 'count', value: random.integer(0, 3) }
    return sampleSpec({
      image: { repository: `registry/${service}`, tag: null, digest: null },
      releaseCommand: random.chance(0.2) ? { command: [random.pick(commands)], timeoutMs: 20_000 } : null,
      replicas: random.chance(0.2) ? 2 : 1,
      constraints: service === 'api' ? [{ label: 'tier', operator: '==', value: 'back' }] : [],
      healthyTimeoutMs: 12_000,
      update: {
        ...sampleSpec().update,
        canary: random.chance(0.3) ? { unit: 'count', value: 1 } : null,
        parallelism: amount(),
        failureAction: random.chance(0.3) ? 'pause' : 'rollback',
        maxFailureRatio: random.chance(0.2) ? 0.4 : 0,
        monitorMs: 1_000,
        delayMs: random.pick([0, 0, 2_000])
      }
    })
  }

  async #apply(service: ServiceName): Promise<void> {
    const spec = this.spec(service)
    const isMoved = service === 'api' && this.#random.chance(0.3)
    await this.#fleet.apply(service, isMoved ? { ...spec, constraints: [] } : spec)
    this.#fleet.tell(`a new spec of ${service}`)
  }

  /** A new tag in the registry; the first images are good most of the time, so that there is something to lose. */
  #push(service: ServiceName, isGood: boolean): string {
    this.#images += 1
    const random = this.#random
    const behaviour: Behaviour = isGood ? 'serves' : random.pick(['exits', 'never-healthy', 'dies-later'])
    const digest = `sha256:${String(this.#images).padStart(64, '0')}` as never
    const tag = `v${this.#images}`
    this.#fleet.registry.tags.set(`registry/${service}:${tag}`, digest)
    this.#fleet.registry.behaviours.set(digest, behaviour)
    return tag
  }

  #wish(round: number): DeployRequest {
    const random = this.#random
    const wish = round === 0 ? random.pick(['deploy', 'together'] as const) : random.pick(wishes)
    const isGood = () => random.chance(round === 0 ? 0.9 : 0.55)
    const [first, second] = random.chance(0.5) ? services : services.toReversed()
    if (first === undefined || second === undefined) throw new TypeError('there are two services')
    const request: DeployRequest = {
      service: first,
      environment,
      what: { by: 'tag', tag: this.#push(first, isGood()) },
      mode: 'deploy',
      recreate: random.chance(0.1),
      offline: random.chance(0.3) ? 'skip' : 'fail',
      replace: null,
      idempotencyKey: null,
      reason: null,
      build: null
    }
    switch (wish) {
      case 'deploy':
        return request
      case 'together':
        return {
          ...request,
          services: [
            { service: first },
            { service: second, what: { by: 'tag', tag: this.#push(second, isGood()) } }
          ]
        }
      case 'rollback':
        return { ...request, what: { by: 'rollback', release: null } }
      case 'restart':
        return { ...request, what: { by: 'current' }, recreate: true }
      case 'rehearse':
        return { ...request, mode: 'rehearse', recreate: false }
      case 'plan':
        return { ...request, mode: 'plan', recreate: false }
      case 'remove':
        return { ...request, mode: 'remove', what: { by: 'nothing' }, recreate: false }
      default:
        return wish satisfies never
    }
  }

  /** Asks until the controller is there; a refusal is an answer too. */
  async #ask(request: DeployRequest): Promise<string | undefined> {
    const fleet = this.#fleet
    for (;;) {
      await fleet.passUntil(() => fleet.controller.isAlive())
      const known = new Set(fleet.watch.states.keys())
      const answer = await fleet.ask((deployments) => deployments.request(operator, request))
      if (answer === 'refused') return undefined
      if (answer !== 'crashed') return answer.id
      // it may have been stored all the same
      const begun = fleet.watch.open().find(({ id, mode }) => !known.has(id) && mode !== 'converge')
      if (begun !== undefined) return begun.id
    }
  }

  /** Somebody goes on with a paused deployment, takes it back, or nobody looks. */
  #decide({ id, phase }: DeploymentState): void {
    if (phase !== 'paused' || this.#decided.has(id)) return
    this.#decided.add(id)
    const decision = this.#random.pick(['resume', 'resume', 'cancel', 'nothing'] as const)
    if (decision !== 'nothing') this.#steerSoon(id, decision)
  }

  #steerSoon(id: string, verb: 'cancel' | 'resume'): void {
    const fleet = this.#fleet
    fleet.later(this.#random.integer(0, 25_000), () => {
      if (!fleet.controller.isAlive()) return
      void fleet.ask((deployments) => deployments[verb](operator, id))
    })
  }
}
