// The writer as deployments use it: each transaction begins with the question whether somebody has set the clock. What
// follows from the answer is part of the transaction.
import type { Log, Tx } from '../ports.ts'
import type { ClockDrift } from './clock-drift.ts'
import type { Writer } from './writer.ts'

type Guards<Shifted> = {
  drift: ClockDrift
  /** Moves every wait. */
  shift(tx: Tx, byMs: number): Promise<Shifted>
  /** After the commit, before anything else that follows; must not throw. */
  shifted(result: Shifted): void
  log: Log
}
type Guarded<T, Shifted> = { result: T; move: { byMs: number; shifted: Shifted } | undefined }

export const guardWriter = <Shifted>(writer: Writer, guards: Guards<Shifted>): Writer => {
  const before =
    <T>(work: (tx: Tx) => Promise<T>) =>
    async (tx: Tx): Promise<Guarded<T, Shifted>> => {
      const byMs = guards.drift.measure()
      const move = byMs === 0 ? undefined : { byMs, shifted: await guards.shift(tx, byMs) }
      return { result: await work(tx), move }
    }
  const after =
    <T>(committed?: (result: T) => void) =>
    ({ result, move }: Guarded<T, Shifted>): void => {
      if (move !== undefined) {
        guards.drift.settle(move.byMs)
        guards.log.warn({ byMs: move.byMs }, 'the clock was set; every wait was moved by as much')
        guards.shifted(move.shifted)
      }
      committed?.(result)
    }
  return {
    ...writer,
    change: async <T>(...[note, work, committed, outcomeOf]: Parameters<typeof writer.change<T>>) => {
      const told = outcomeOf && (({ result }: Guarded<T, Shifted>) => outcomeOf(result))
      return (await writer.change(note, before(work), after(committed), told)).result
    },
    step: async (work, committed) => (await writer.step(before(work), after(committed))).result
  }
}
