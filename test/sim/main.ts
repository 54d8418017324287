// `npm run sim -- --seeds N [--from SEED] [--jobs N] [--trace]`: runs N seeds on all cores, says at once which
// failed and how to replay it, sums up, ends with 1 if any failed. `--trace` runs them here and tells everything.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { addReport, emptyTotal, runSeeds, type Total } from './run-seeds.ts'
import type { SeedReport } from './seed-worker.ts'
import { runSeed } from './world.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    trace: { type: 'boolean', default: false }
  }
})
const from = Number(values.from)
const count = Number(values.seeds)
const jobs = Number(values.jobs)
if (![from, count, jobs].every(Number.isSafeInteger) || count < 1 || jobs < 1) {
  console.error('usage: npm run sim -- --seeds N [--from SEED] [--jobs N] [--trace]')
  process.exit(2)
}

const startedAtMs = Date.now()
const progressGapMs = 15_000
let toldAtMs = startedAtMs

const heard = (report: SeedReport, total: Total): void => {
  if (!report.isHeld) {
    console.error(`seed ${report.seed}: ${report.violation}`)
    console.error(`replay it: npm run sim -- --from ${report.seed} --seeds 1 --trace`)
  }
  const nowMs = Date.now()
  if (nowMs - toldAtMs < progressGapMs) return
  toldAtMs = nowMs
  const leftMin = (((nowMs - startedAtMs) / total.seeds) * (count - total.seeds)) / 60_000
  console.error(
    `${total.seeds} of ${count} seeds, ${total.failed.length} failed, ${leftMin.toFixed(1)} min left`
  )
}

const traceSeeds = async (): Promise<Total> => {
  const total = emptyTotal()
  for (let seed = from; seed < from + count; seed += 1) {
    const report = await runSeed(seed, (line) => console.log(line)).then(
      (summary): SeedReport => ({ seed, isHeld: true, ...summary }),
      (error: Error): SeedReport => ({ seed, isHeld: false, violation: error.stack ?? error.message })
    )
    addReport(total, report)
    heard(report, total)
  }
  return total
}

const total = values.trace ? await traceSeeds() : await runSeeds({ from, count, jobs, heard })
const tookS = (Date.now() - startedAtMs) / 1000
const outcomes = [...total.outcomes].sort().map(([outcome, times]) => `${times} ${outcome}`)
console.log(
  `${total.seeds} seeds (${from} to ${from + count - 1}) in ${tookS.toFixed(1)} s on ${jobs} processes: ` +
    `${total.failed.length} failed${total.failed.length === 0 ? '' : ` (${total.failed.slice(0, 20).join(', ')})`}`
)
console.log(
  `${total.faults} faults over ${(total.virtualMs / 3_600_000).toFixed(0)} simulated hours; ${outcomes.join(', ')}`
)
process.exitCode = total.failed.length === 0 ? 0 : 1
