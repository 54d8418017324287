// What goes wrong in a seeded world, and when: drawn from the seed. What each fault means is the fleet's.
import type { Fleet } from './fleet.ts'
import type { Member, Point } from './fleet-parts.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { Fate } from './simulated-network.ts'

const kinds = [
  'agent',
  'agent',
  'controller',
  'controller',
  'take-over',
  'engine',
  'engine',
  'network',
  'network',
  'network',
  'registry',
  'prune',
  'long-loss',
  'wipe',
  'clone',
  'clock',
  'host-clock'
] as const

const minuteMs = 60_000

export class Faults {
  readonly #random: SeededRandom
  #untilMs = 0
  #fleet: Fleet | undefined

  constructor(random: SeededRandom) {
    this.#random = random
  }

  begin(fleet: Fleet, forMs: number): void {
    this.#fleet = fleet
    this.#untilMs = fleet.time.nowMs() + forMs
    this.#schedule(fleet)
  }

  end(): void {
    this.#untilMs = 0
  }

  /** Small faults, at the very points where they hurt. */
  interfere(point: Point): Fate {
    const fleet = this.#fleet
    if (fleet === undefined || !this.#isOn(fleet)) return 'arrives'
    const random = this.#random
    switch (point.kind) {
      case 'committed':
        if (random.chance(0.01)) fleet.killController(random.integer(100, 30_000))
        return 'arrives'
      case 'journalled':
        if (random.chance(0.02)) fleet.killAgent(point.member, random.integer(100, 30_000))
        return 'arrives'
      case 'called':
        return 'arrives'
      case 'up':
      case 'down':
        return point.type === 'command' && random.chance(0.05) ? 'arrives-twice' : 'arrives'
      default:
        return point satisfies never
    }
  }

  #isOn(fleet: Fleet): boolean {
    return fleet.time.nowMs() < this.#untilMs
  }

  #schedule(fleet: Fleet): void {
    fleet.later(this.#random.integer(200, 15_000), () => {
      if (!this.#isOn(fleet)) return
      this.#strike(fleet, this.#random.pick(fleet.members))
      this.#schedule(fleet)
    })
  }

  #strike(fleet: Fleet, member: Member): void {
    const random = this.#random
    const does: Record<(typeof kinds)[number], () => void> = {
      agent: () => fleet.killAgent(member, random.integer(100, 30_000)),
      controller: () => fleet.killController(random.integer(100, 30_000)),
      'take-over': () => fleet.takeOver(random.integer(1_000, 90_000)),
      engine: () => fleet.restartEngine(member, random.integer(300, 8_000)),
      network: () => fleet.cutOff(member, random.integer(500, 200_000)),
      'long-loss': () => {
        if (random.chance(0.3)) fleet.cutOff(member, random.integer(10, 120) * minuteMs)
      },
      registry: () => fleet.takeRegistryDown(random.integer(500, 10_000)),
      prune: () => member.host.prune(),
      wipe: () => {
        if (random.chance(0.3)) fleet.wipe(member, random.chance(0.5), random.integer(1_000, 120_000))
      },
      clone: () => {
        if (random.chance(0.2)) fleet.clone(member)
      },
      clock: () => fleet.jumpClock(random.pick([-1, 1]) * random.pick([1, 10, 24 * 60]) * minuteMs),
      'host-clock': () => {
        member.skewMs += random.integer(-48 * 60, 48 * 60) * minuteMs
      }
    }
    does[random.pick(kinds)]()
  }
}
