// `npm run sim -- --seeds N [--from SEED] [--trace]`: runs N seeds, says which failed and how, ends with 1 if any did.
import { parseArgs } from 'node:util'
import { runSeed } from './world.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false }
  }
})
const first = Number(values.from)
const count = Number(values.seeds)
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  console.error('usage: npm run sim -- --seeds N [--from SEED] [--trace]')
  process.exit(2)
}

const startedAtMs = Date.now()
const tally = new Map<string, number>()
let failed = 0
for (let seed = first; seed < first + count; seed += 1) {
  try {
    const { outcomes } = await runSeed(seed, values.trace ? (line) => console.log(line) : undefined)
    for (const outcome of outcomes) tally.set(outcome, (tally.get(outcome) ?? 0) + 1)
  } catch (error) {
    failed += 1
    console.error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`)
  }
}
const outcomes = [...tally].map(([outcome, times]) => `${times} ${outcome}`).join(', ')
console.log(
  `${count} seeds in ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s: ${failed} failed; ${outcomes}`
)
process.exitCode = failed === 0 ? 0 : 1
