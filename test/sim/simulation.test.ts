// The seeded simulation as a test: so many fleets, each with its own faults. A seed that fails is printed and
// replayed with `npm run sim -- --from SEED --seeds 1 --trace`.
import t from 'tap'
import { runSeed } from './world.ts'

const seeds = 150

t.setTimeout(900_000)

t.test(`holds its promises in ${seeds} simulated fleets`, async (t) => {
  const outcomes = new Set<string>()
  let faults = 0
  for (let seed = 1; seed <= seeds; seed += 1) {
    try {
      const summary = await runSeed(seed)
      for (const outcome of summary.outcomes) outcomes.add(outcome)
      faults += summary.faults
    } catch (error) {
      t.fail(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  t.same([...outcomes].sort(), ['cancelled', 'mixed', 'refused', 'reverted', 'succeeded'])
  t.ok(faults > seeds, `only ${faults} faults happened`)
})

/**
 * Seeds that once showed a fault of the code, with what they showed.
 * 453, 1327: of two replicas that were waited for, the engine's restart was forgiven to one only, so that the host
 * was said to have failed and to serve nothing.
 * 34356: what a host said before its run had failed counted as its state after it, so that the failed try was
 * forgotten and tried again for ever.
 * 57460: a former container that was started again and did not become healthy was reported as nothing that runs.
 * 7023, 10491: a refused rollback was blamed for a host that it never heard of and that had not left that release.
 */
for (const seed of [453, 1327, 7023, 10491, 34356, 57460]) {
  t.test(`keeps its promises with seed ${seed}`, async (t) => {
    await t.resolves(runSeed(seed))
  })
}
