// One process of `npm run sim`: runs the seeds that it is sent, one after the other, and says how each one went.
import { Violation } from './invariants.ts'
import { runSeed } from './world.ts'

export type Assignment = { from: number; count: number }
export type SeedReport =
  | { seed: number; isHeld: true; outcomes: string[]; faults: number; virtualMs: number }
  | { seed: number; isHeld: false; violation: string }

/** A broken promise is said by its sentence; any other error is a fault of the code and needs its place. */
const describeFailure = (error: unknown): string => {
  if (error instanceof Violation) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

const run = async (seed: number): Promise<SeedReport> => {
  try {
    return { seed, isHeld: true, ...(await runSeed(seed)) }
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
