// The exhaustive model as a test: every 61st case of each kind of fault, so that each comes at every part of the
// course, however many kinds and points there are; all of them with `npm run proof:model`. A case is replayed with
// `npm run sim -- --model --from NUMBER --seeds 1 --trace`.
import t from 'tap'
import { describeCase, listCases, runCase } from './model.ts'

const every = 61

t.setTimeout(900_000)

t.test('keeps its promises with one fault anywhere', async (t) => {
  const cases = await listCases()
  t.ok(cases.length > 5_000, `only ${cases.length} cases`)
  const seen = new Map<string, number>()
  for (const [index, one] of cases.entries()) {
    const before = seen.get(one.fault) ?? 0
    seen.set(one.fault, before + 1)
    if (before % every !== 0) continue
    try {
      await runCase(one)
    } catch (error) {
      t.fail(
        `case ${index + 1}: ${describeCase(one)}: ${error instanceof Error ? error.message : String(error)}`
      )
    }
  }
  t.equal(seen.size, 9)
})
