// Many seeds on several processes: hands them out, adds up what comes back. A process that dies or stands still
// counts as a failure of the seed that it was at.
import { type ChildProcess, fork } from 'node:child_process'
import type { Assignment, SeedReport } from './seed-worker.ts'

export type Total = {
  seeds: number
  failed: number[]
  outcomes: Map<string, number>
  faults: number
  virtualMs: number
}
/** `what`: seeds of the simulation, or cases of the model by their number. */
type Plan = {
  what: 'seeds' | 'model'
  from: number
  count: number
  jobs: number
  heard: (report: SeedReport, total: Total) => void
}

const seedsAtOnce = 20
/** A seed takes a fraction of a second; one that takes this long never ends. */
const longestSeedMs = 120_000

export const emptyTotal = (): Total => ({
  seeds: 0,
  failed: [],
  outcomes: new Map(),
  faults: 0,
  virtualMs: 0
})

export const addReport = (total: Total, report: SeedReport): void => {
  total.seeds += 1
  if (!report.isHeld) {
    total.failed.push(report.seed)
    return
  }
  total.faults += report.faults
  total.virtualMs += report.virtualMs
  for (const outcome of report.outcomes) total.outcomes.set(outcome, (total.outcomes.get(outcome) ?? 0) + 1)
}

export const runSeeds = async (plan: Plan): Promise<Total> => {
  const total = emptyTotal()
  let next = plan.from
  const take = (): Assignment | undefined => {
    const count = Math.min(seedsAtOnce, plan.from + plan.count - next)
    if (count <= 0) return undefined
    next += count
    return { from: next - count, count }
  }
  const heard = (report: SeedReport): void => {
    addReport(total, report)
    plan.heard(report, total)
  }
  await Promise.all(Array.from({ length: plan.jobs }, () => workThrough(plan.what, take, heard)))
  return total
}

const workThrough = async (
  what: Plan['what'],
  take: () => Assignment | undefined,
  heard: (report: SeedReport) => void
): Promise<void> => {
  let rest: Assignment | undefined
  for (;;) {
    rest = await oneProcess(what, rest, take, heard)
    if (rest === undefined) return
  }
}

/** @returns what is left of the assignment at which the process ended; undefined when there is no more to do */
const oneProcess = (
  what: Plan['what'],
  first: Assignment | undefined,
  take: () => Assignment | undefined,
  heard: (report: SeedReport) => void
): Promise<Assignment | undefined> =>
  new Promise((resolve) => {
    const child = fork(new URL('./seed-worker.ts', import.meta.url), [what])
    let at = first ?? take()
    let watchdog = watch(child)
    const assign = (): void => {
      if (at === undefined || at.count === 0) at = take()
      if (at === undefined) child.disconnect()
      else child.send(at)
    }
    child.on('message', (report: SeedReport) => {
      clearTimeout(watchdog)
      watchdog = watch(child)
      at = { from: report.seed + 1, count: (at?.count ?? 1) - 1 }
      heard(report)
      if (at.count === 0) assign()
    })
    child.on('exit', (code, signal) => {
      clearTimeout(watchdog)
      if (at === undefined) return resolve(undefined)
      const violation = `its process ended with ${signal ?? code} (no answer for ${longestSeedMs / 1000} s, or it died)`
      heard({ seed: at.from, isHeld: false, violation })
      resolve({ from: at.from + 1, count: at.count - 1 })
    })
    assign()
  })

const watch = (child: ChildProcess): NodeJS.Timeout => setTimeout(() => child.kill('SIGKILL'), longestSeedMs)
