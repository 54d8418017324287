// One process of `npm run sim`: runs the seeds (or the cases of the model) that it is sent, one after the other, and
// says how each one went.
import { describeFailure } from './describe-failure.ts'
import { describeCase, listCases, runCase } from './model.ts'
import { runSeed } from './world.ts'

export type Assignment = { from: number; count: number }
export type SeedReport =
  | { seed: number; isHeld: true; outcomes: string[]; faults: number; virtualMs: number }
  | { seed: number; isHeld: false; violation: string }

const runNumberedCase = async (cases: Awaited<ReturnType<typeof listCases>>, number: number) => {
  const one = cases[number - 1]
  if (one === undefined) throw new RangeError(`there are ${cases.length} cases`)
  const outcome = await runCase(one).catch((error: unknown) => {
    throw new Error(`${describeCase(one)}: ${describeFailure(error)}`, { cause: error })
  })
  return { outcomes: [`${one.scenario} ${outcome}`], faults: 1, virtualMs: 0 }
}

const runNumber =
  process.argv[2] === 'model'
    ? await listCases().then((cases) => (number: number) => runNumberedCase(cases, number))
    : (seed: number) => runSeed(seed)

const run = async (seed: number): Promise<SeedReport> => {
  try {
    return { seed, isHeld: true, ...(await runNumber(seed)) }
  } catch (error) {
    return { seed, isHeld: false, violation: describeFailure(error) }
  }
}

const tell = (report: SeedReport): Promise<void> =>
  new Promise((resolve, reject) => {
    process.send?.(report, (error: Error | null) => (error === null ? resolve() : reject(error)))
  })

process.on('message', ({ from, count }: Assignment) => {
  const work = async () => {
    for (let seed = from; seed < from + count; seed += 1) await tell(await run(seed))
  }
  work().catch(() => process.exit(1))
})
process.on('disconnect', () => process.exit(0))
