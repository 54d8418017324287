// How many hosts of a service converge at the same time: where nothing runs there is nothing to lose, everywhere
// else no more than a deployment would switch at once, so that a fleet that comes back never goes down together.
import type { Amount } from '@longshore/protocol'
import { formBatches } from '../batches/form-batches.ts'

/** Where nothing runs: bounded only by what registry and controller bear. */
export const maxMissingAtOnce = 50

type Candidate = { servesNothing: boolean }

/**
 * @param running converging now
 * @param candidates those that want to start, in the order in which they may
 * @param hosts how many the service has
 */
export const admit = <One extends Candidate>(
  running: readonly Candidate[],
  candidates: readonly One[],
  { parallelism, hosts }: { parallelism: Amount; hosts: number }
): One[] => {
  const atOnce = formBatches({ canary: null, parallelism }, Math.max(1, hosts)).filter((batch) => batch === 1)
  const isEmpty = ({ servesNothing }: Candidate) => servesNothing
  const free = (limit: number, kind: (one: Candidate) => boolean) =>
    Math.max(0, limit - running.filter(kind).length)
  const isServing = (one: Candidate) => !isEmpty(one)
  const empty = candidates.filter(isEmpty).slice(0, free(maxMissingAtOnce, isEmpty))
  const serving = candidates.filter(isServing).slice(0, free(atOnce.length, isServing))
  return candidates.filter((one) => empty.includes(one) || serving.includes(one))
}
