// Is a request with an idempotency key new, or one that was made before? A key stands for one request in one
// environment: whoever repeats it wants its outcome, not a second deployment. Storing keys is left to the engine.
import type { DeploymentId } from '@longshore/protocol'
import type { Outcome } from '../deployment/vocabulary.ts'

/** What the store has for the key. */
export type KeptKey = {
  /** The request that used it first, as `requestText` writes it. */
  request: string
  /** What that request began. */
  first: DeploymentId
  /** The latest attempt; the first one, unless that one was repeated. */
  deployment: DeploymentId
}
/** The latest attempt, as far as it matters here. */
export type FormerAttempt = {
  /** null: it has not ended. */
  outcome: Outcome | null
  /** What it brought, and what is current now, null for nothing; no list: it left nothing behind, a rehearsal. */
  services: readonly { release: number | null; current: number | null }[] | null
}
export type Attempt =
  | { kind: 'fresh' }
  /** That deployment is the answer. */
  | { kind: 'attach'; deployment: DeploymentId }
  /** A new deployment, linked to the first of the key. */
  | { kind: 'again'; attemptOf: DeploymentId }
  | { kind: 'conflict'; first: DeploymentId }

/** @param former undefined: the store has lost it, so that nobody can attach to it */
export const decideAttempt = (
  kept: KeptKey | undefined,
  former: FormerAttempt | undefined,
  request: string
): Attempt => {
  if (kept === undefined) return { kind: 'fresh' }
  if (kept.request !== request) return { kind: 'conflict', first: kept.first }
  const isAnswer = former !== undefined && (former.outcome === null || isStillTrue(former))
  return isAnswer ? { kind: 'attach', deployment: kept.deployment } : { kind: 'again', attemptOf: kept.first }
}

/** It succeeded, and nothing has taken its place since. */
const isStillTrue = ({ outcome, services }: FormerAttempt): boolean =>
  outcome === 'succeeded' &&
  services !== null &&
  services.every(({ release, current }) => release === current)
