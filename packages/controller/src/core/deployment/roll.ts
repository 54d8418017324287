// The switch: the parts one after the other, each in its batches, with a delay between the batches of a part.
import { forEachTarget, giveCommand, withState, withTarget } from './change-step.ts'
import { endMixed, endSucceeded } from './end.ts'
import type { Step } from './events.ts'
import { formParts } from './form-parts.ts'
import { beginPause } from './pause.ts'
import { hostAndReason } from './reasons.ts'
import { beginReverting } from './revert.ts'
import {
  type DeploymentState,
  hasFailed,
  isRepair,
  isUnchanged,
  type Part,
  participants,
  partOf,
  type Target
} from './state.ts'

export const beginRolling = (step: Step, atMs: number): Step => {
  const formed = withState(formParts(step), { phase: 'rolling', batch: 1 })
  const begun = forEachTarget(formed, (done, target) =>
    target.batch === null && target.state !== 'skipped'
      ? withTarget(done, target, { state: 'released' })
      : done
  )
  return isUnchanged(begun.state) ? endSucceeded(begun, atMs) : begun
}

export const advanceRolling = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return beginReverting(step, null)
  const failure = findFailure(state)
  if (failure !== undefined) return afterFailure(step, failure, atMs)
  if (state.nextBatchAtMs !== null) {
    return atMs < state.nextBatchAtMs
      ? step
      : withState(step, { nextBatchAtMs: null, batch: state.batch + 1 })
  }
  const given = forEachTarget(step, (done, target) => giveTurn(done, target, atMs))
  const isBusy = inBatch(given.state, state.batch).some(({ state: is }) => isUndecided(is))
  return isBusy ? given : afterBatch(given, atMs)
}

const isUndecided = (state: Target['state']): boolean => state === 'ready' || state === 'releasing'

const inBatch = (state: DeploymentState, batch: number): Target[] =>
  state.targets.filter((target) => target.batch === batch)

/** The first failure of a part that has more of them than it tolerates, without those that were forgiven. */
const findFailure = (state: DeploymentState): Target | undefined => {
  const counted = state.parts.map((part) => ({
    tolerated: toleratedFailures(part, participants(state, part).length),
    failed: participants(state, part).filter((target) => hasFailed(target) && !target.isForgiven)
  }))
  return counted.find(({ failed, tolerated }) => failed.length > tolerated)?.failed[0]
}

/** 0.29 of 100 hosts are 29, although the product of the two is a little less in floating point. */
const toleratedFailures = ({ rollout }: Part, count: number): number =>
  Math.floor(rollout.maxFailureRatio * count + 1e-9)

/** Nobody watches a convergence: it never waits for people. */
const afterFailure = (step: Step, failure: Target, atMs: number): Step => {
  const cause = hostAndReason(step.state, failure)
  const { failureAction } = partOf(step.state, failure).rollout
  const isAsked = step.state.mode === 'deploy' && failureAction === 'pause'
  return isAsked ? beginPause(step, cause, atMs) : beginReverting(step, cause)
}

/** Nothing is sent to a host that is away: as long as nothing was sent, it is known what runs there. */
const giveTurn = (step: Step, target: Target, atMs: number): Step => {
  if (target.batch !== step.state.batch || target.state !== 'ready') return step
  if (target.absentSinceMs !== null) {
    return target.turnAtMs === null ? withTarget(step, target, { turnAtMs: atMs }) : step
  }
  const { recreate } = partOf(step.state, target)
  const ratio = comparedBy(step.state, target)
  const order = { kind: 'release', recreate, ...(ratio !== null && { canaryMaxErrorRatio: ratio }) } as const
  const change: Partial<Target> = { state: 'releasing', mayRunNew: true, turnAtMs: null }
  return giveCommand(step, target, order, atMs, change)
}

/**
 * A canary's new containers are compared with the old ones beside them. Not those of the release that is current already:
 * what is told of a restart, or of a host that is brought back, is nothing new.
 * @returns null: it is no canary, or is not compared
 */
const comparedBy = (state: DeploymentState, { service, batch }: Target): number | null => {
  const part = partOf(state, { service })
  const { canary, canaryMaxErrorRatio = null } = part.rollout
  if (state.mode !== 'deploy' || canary === null || isRepair(part)) return null
  const isFirst = participants(state, part).every((other) => (other.batch ?? Infinity) >= (batch ?? 0))
  return isFirst ? canaryMaxErrorRatio : null
}

const afterBatch = (step: Step, atMs: number): Step => {
  const { state } = step
  const [next] = inBatch(state, state.batch + 1)
  if (next === undefined) {
    const areReleased = participants(state).every((target) => target.state === 'released')
    return areReleased ? endSucceeded(step, atMs) : endMixed(step, atMs)
  }
  const isSamePart = inBatch(state, state.batch).some(({ service }) => service === next.service)
  const { delayMs } = partOf(state, next).rollout
  if (!isSamePart || delayMs === 0) return withState(step, { batch: state.batch + 1 })
  return withState(step, { nextBatchAtMs: atMs + delayMs })
}
