// One seed: an installation, people who ask for things, faults in between, and at the end a quiet time after which
// everything must be true.
import { checkCalm, findDifference } from './calm.ts'
import { Faults } from './faults.ts'
import { Fleet } from './fleet.ts'
import { startMs, type Trace } from './fleet-parts.ts'
import { createSeededRandom } from './seeded-random.ts'
import { takeOverImmediates } from './settle.ts'
import { services, Users } from './users.ts'

export type Summary = { outcomes: string[]; faults: number; virtualMs: number }

/**
 * @param trace told of everything that happens, for looking at one seed
 * @throws Violation when an invariant does not hold; any other error is a fault of the code under test as well
 */
export const runSeed = async (seed: number, trace: Trace = () => {}): Promise<Summary> => {
  const giveBackImmediates = takeOverImmediates()
  try {
    const random = createSeededRandom(seed)
    const faults = new Faults(random)
    const fleet = await Fleet.make({ random, trace, interfere: (point) => faults.interfere(point) })
    try {
      return await live(fleet, faults)
    } finally {
      await fleet.close()
    }
  } finally {
    giveBackImmediates()
  }
}

const live = async (fleet: Fleet, faults: Faults): Promise<Summary> => {
  const { random, watch } = fleet
  const users = new Users(fleet)
  const hosts = Array.from({ length: random.integer(1, 4) }, (_, index) => ({
    name: `host-${index}`,
    labels: { tier: random.chance(0.6) ? 'back' : 'front' },
    skewMs: random.chance(0.3) ? random.integer(-3_600_000, 3_600_000) : 0
  }))
  await fleet.populate(
    hosts,
    services.map((service) => ({ service, spec: users.spec(service) }))
  )
  await fleet.pass(10_000)
  const rounds = random.integer(2, 4)
  const asked: string[] = []
  for (let round = 0; round < rounds; round += 1) {
    if (random.chance(0.7)) await gather(fleet, faults)
    if (random.chance(0.8)) faults.begin(fleet, random.integer(1_000, 120_000))
    const ids = await users.act(round)
    await fleet.passUntil(() => ids.every((id) => watch.states.get(id)?.phase === 'ended'))
    asked.push(...ids)
  }
  faults.end()
  fleet.endClones()
  await fleet.passUntil(() => fleet.isWhole())
  await calmDown(fleet)
  await checkCalm(fleet)
  const outcomes = asked.map((id) => watch.states.get(id)?.outcome ?? 'none')
  return { outcomes, faults: fleet.faults, virtualMs: fleet.time.nowMs() - startMs }
}

/** Long enough for the longest pause between two tries to bring a host where it belongs. */
const calmDown = async (fleet: Fleet): Promise<void> => {
  const untilMs = fleet.time.nowMs() + 45 * 60_000
  do {
    await fleet.pass(30_000)
  } while (
    fleet.time.nowMs() < untilMs &&
    (fleet.watch.open().length > 0 || (await findDifference(fleet)) !== undefined)
  )
  await fleet.pass(90_000)
}

/** Most deployments begin with everybody there, so that they get further than a refusal. */
const gather = async (fleet: Fleet, faults: Faults): Promise<void> => {
  faults.end()
  const untilMs = fleet.time.nowMs() + 300_000
  await fleet.passUntil(() => fleet.time.nowMs() > untilMs || fleet.isWhole())
  await fleet.pass(1_000)
}
