// This controller as the owner of the deployments: its lease, the clock that it trusts, and what it throws away in time.
import type { Clock, Log, Tx } from '../ports.ts'
import { createClockDrift } from './clock-drift.ts'
import { guardWriter } from './guard-writer.ts'
import type { Lease } from './lease.ts'
import { createPruner } from './prune.ts'
import type { Writer } from './writer.ts'

export type Ownership = {
  writer: Writer
  /** From now on this controller writes, and no other one. */
  begin(): Promise<void>
  /** No timer is left; the lease stays taken. */
  end(): void
}
type Ports = {
  /** Asks the lease first. */
  writer: Writer
  lease: Lease
  clock: Clock
  steadyClock: Clock
  log: Log
}
/** How waits go along when the clock was set, see guard-writer.ts. */
type Moves<Shifted> = {
  shift(tx: Tx, byMs: number): Promise<Shifted>
  shifted(result: Shifted): void
}

export const createOwnership = <Shifted>(ports: Ports, moves: Moves<Shifted>): Ownership => {
  const { lease, log } = ports
  const drift = createClockDrift(ports)
  /** A wait that a clock set back would hold up is moved although nothing happens. */
  const renewed = (): void => {
    if (drift.measure() === 0) return
    writer
      .step(async () => {})
      .catch((error: unknown) => log.error({ err: error }, 'waits could not be moved with the clock'))
  }
  const writer = guardWriter(ports.writer, { ...moves, drift, log })
  const pruner = createPruner({ ...ports, writer })
  return {
    writer,
    begin: async () => {
      // As if it had been set back just now: the first change moves every wait.
      drift.settle(await lease.take(renewed))
      pruner.start()
    },
    end: () => {
      lease.stop()
      pruner.stop()
    }
  }
}
