// The exhaustive model as a test: every 61st of its cases, so that each kind of fault comes at every part of the
// course; all of them with `npm run proof:model`. A case is replayed with
// `npm run sim -- --model --from NUMBER --seeds 1 --trace`.
import t from 'tap'
import { describeCase, listCases, runCase } from './model.ts'

/** Shares no divisor with the number of kinds. */
const every = 61

t.setTimeout(900_000)

t.test('keeps its promises with one fault anywhere', async (t) => {
  const cases = await listCases()
  t.ok(cases.length > 5_000, `only ${cases.length} cases`)
  const faults = new Set<string>()
  for (const [index, one] of cases.entries()) {
    if (index % every !== 0) continue
    faults.add(one.fault)
    try {
      await runCase(one)
    } catch (error) {
      t.fail(
        `case ${index + 1}: ${describeCase(one)}: ${error instanceof Error ? error.message : String(error)}`
      )
    }
  }
  t.equal(faults.size, 9)
})
