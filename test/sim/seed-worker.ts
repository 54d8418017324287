// One process of `npm run sim`: runs the seeds that it is sent, one after the other, and says how each one went.
import { runSeed } from './world.ts'

export type Assignment = { from: number; count: number }
export type SeedReport =
  | { seed: number; isHeld: true; outcomes: string[]; faults: number; virtualMs: number }
  | { seed: number; isHeld: false; violation: string }

const run = async (seed: number): Promise<SeedReport> => {
  try {
    return { seed, isHeld: true, ...(await runSeed(seed)) }
  } catch (error) {
    const violation = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { seed, isHeld: false, violation }
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
