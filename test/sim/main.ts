// `npm run sim -- --seeds N [--from SEED] [--jobs N] [--trace]`: runs N seeds on all cores, says at once which
// failed and how to replay it, sums up, ends with 1 if any failed. `--trace` runs them here and tells everything.
// With `--model` the numbers are those of the cases of the exhaustive model, all of them by default.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { describeFailure } from './describe-failure.ts'
import { listCases, runCase } from './model.ts'
import { addReport, emptyTotal, runSeeds, type Total } from './run-seeds.ts'
import type { SeedReport } from './seed-worker.ts'
import { runSeed } from './world.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'boolean', default: false },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    trace: { type: 'boolean', default: false }
  }
})
const from = Number(values.from)
const cases = values.model ? await listCases() : []
const count = Number(values.seeds ?? (values.model ? cases.length : 500))
const jobs = Number(values.jobs)
if (![from, count, jobs].every(Number.isSafeInteger) || count < 1 || jobs < 1) {
  console.error('usage: npm run sim -- --seeds N [--from SEED] [--jobs N] [--model] [--trace]')
  process.exit(2)
}

const startedAtMs = Date.now()
const progressGapMs = 15_000
let toldAtMs = startedAtMs

const heard = (report: SeedReport, total: Total): void => {
  if (!report.isHeld) {
    console.error(`seed ${report.seed}: ${report.violation}`)
    console.error(
      `replay it: npm run sim -- ${values.model ? '--model ' : ''}--from ${report.seed} --seeds 1 --trace`
    )
  }
  const nowMs = Date.now()
  if (nowMs - toldAtMs < progressGapMs) return
  toldAtMs = nowMs
  const leftMin = (((nowMs - startedAtMs) / total.seeds) * (count - total.seeds)) / 60_000
  console.error(
    `${total.seeds} of ${count} seeds, ${total.failed.length} failed, ${leftMin.toFixed(1)} min left`
  )
}

const traceOne = async (number: number): Promise<SeedReport> => {
  const trace = (line: string) => console.log(line)
  const one = cases[number - 1]
  try {
    if (one === undefined) return { seed: number, isHeld: true, ...(await runSeed(number, trace)) }
    return { seed: number, isHeld: true, outcomes: [await runCase(one, trace)], faults: 1, virtualMs: 0 }
  } catch (error) {
    return { seed: number, isHeld: false, violation: describeFailure(error) }
  }
}

const traceAll = async (): Promise<Total> => {
  const total = emptyTotal()
  for (let number = from; number < from + count; number += 1) {
    const report = await traceOne(number)
    addReport(total, report)
    heard(report, total)
  }
  return total
}

const what = values.model ? 'model' : 'seeds'
const total = values.trace ? await traceAll() : await runSeeds({ what, from, count, jobs, heard })
const tookS = (Date.now() - startedAtMs) / 1000
const outcomes = [...total.outcomes].sort().map(([outcome, times]) => `${times} ${outcome}`)
console.log(
  `${total.seeds} ${values.model ? 'cases' : 'seeds'} (${from} to ${from + count - 1}) in ${tookS.toFixed(1)} s on ${jobs} processes: ` +
    `${total.failed.length} failed${total.failed.length === 0 ? '' : ` (${total.failed.slice(0, 20).join(', ')})`}`
)
console.log(
  `${total.faults} faults over ${(total.virtualMs / 3_600_000).toFixed(0)} simulated hours; ${outcomes.join(', ')}`
)
process.exitCode = total.failed.length === 0 ? 0 : 1
