// How a deployment ends: the outcome first, from what each target is known to serve; then what is still sent
// (settle, or a revert owed to hosts that are away), which changes the outcome no more.
import { abandonInFlight, forEachTarget, oweCommand, withState, withTarget } from './change-step.ts'
import type { Order, Step } from './events.ts'
import {
  cancelledEarlyReason,
  mixedReason,
  plannedReason,
  refusedReason,
  rehearsedReason,
  removedReason,
  revertedReason,
  succeededReason,
  upgradedReason
} from './reasons.ts'
import { type DeploymentState, isRepair, participants, partOf, type Target } from './state.ts'
import type { Outcome, TargetState } from './vocabulary.ts'

/** The host serves what it served before the deployment; after a repair, whichever release it is that runs. */
export const isBack = (state: DeploymentState, target: Target): boolean => {
  const { mayRunNew, serving, former, hadOther, isRunning } = target
  if (!mayRunNew) return true
  if (!isRepair(partOf(state, target)))
    return serving === (former === null && hadOther !== true ? 'none' : 'old')
  const hadNone = former === null && !isRunning
  return serving === 'none' ? hadNone : serving !== 'unknown'
}

/** What takes the host back. */
export const orderBack = (state: DeploymentState, target: Target): Order => {
  const { release } = partOf(state, target)
  const { former } = target
  return former === null
    ? { kind: 'remove', release, containers: null }
    : { kind: 'revert', from: release, to: former }
}

/** A part that was there already has left nothing to clean up. */
export const endSucceeded = (step: Step, atMs: number): Step => {
  const ended = finish(step, 'succeeded', succeededReason(step.state), atMs)
  return forEachTarget(ended, (done, target) => {
    const { isUnchanged, release, keepImages } = partOf(done.state, target)
    if (target.state === 'skipped' || isUnchanged || target.goneBecause !== undefined) return done
    const order: Order = { kind: 'settle', release, keepImages }
    return oweCommand(done, target, order, atMs, (index) => ({ settling: index }))
  })
}

/** Nothing was switched, and the rehearsed containers are gone. */
export const endRehearsed = (step: Step, atMs: number): Step =>
  finish(step, 'succeeded', rehearsedReason(step.state), atMs)

/** Nothing was touched. */
export const endPlanned = (step: Step, atMs: number): Step =>
  finish(step, 'succeeded', plannedReason(step.state), atMs)

/** A host that did not answer keeps the order: it obeys when it returns. */
export const endRemoved = (step: Step, atMs: number): Step => {
  const areGone = participants(step.state).every((target) => target.state === 'removed')
  return finish(step, areGone ? 'succeeded' : 'mixed', removedReason(step.state), atMs)
}

/** The agents that were not asked, or stayed what they were, serve as before. */
export const endUpgrade = (step: Step, atMs: number): Step => {
  const targets = participants(step.state)
  const done = targets.filter(({ state }) => state === 'released').length
  const isUnsure = targets.some(({ state }) => state === 'unknown')
  const stayed = targets.some(({ state }) => state === 'failed') ? 'refused' : 'cancelled'
  const partly = done === 0 && !isUnsure ? stayed : 'mixed'
  const outcome = done === targets.length ? 'succeeded' : partly
  const reason = upgradedReason(step.state, outcome)
  const rested = forEachTarget(step, (at, target) =>
    target.state === 'ready' ? withTarget(at, target, { state: 'untouched', serving: 'old' }) : at
  )
  return finish(rested, outcome, reason, atMs)
}

/** Nothing was stopped anywhere. @param why what stood in the way; absent: the votes say */
export const endRefused = (step: Step, atMs: number, why?: string): Step =>
  finish(step, 'refused', refusedReason(step.state, why), atMs)

/** Cancelled before anything was switched. */
export const endCancelledEarly = (step: Step, atMs: number): Step =>
  finish(step, 'cancelled', cancelledEarlyReason(step.state), atMs)

/** Every target was let go: either all are back, or the fleet is mixed and each that is not is named. */
export const endReverted = (step: Step, atMs: number): Step => {
  const areBack = participants(step.state).every((target) => isBack(step.state, target))
  if (!areBack) return endMixed(step, atMs)
  const outcome = step.state.cause === null ? 'cancelled' : 'reverted'
  return finish(step, outcome, revertedReason(step.state), atMs)
}

/** Hosts whose state is unknown are told to go back once they return: the current release did not change. */
export const endMixed = (step: Step, atMs: number): Step => {
  const ended = finish(step, 'mixed', mixedReason(step.state), atMs)
  return forEachTarget(ended, (done, target) =>
    target.state === 'unknown' &&
    target.goneBecause === undefined &&
    !target.wasToldToGoBack &&
    !isRepair(partOf(done.state, target))
      ? oweBack(done, target, atMs)
      : done
  )
}

/** The command to go back waits in the outbox; nobody waits for the host. */
export const oweBack = (step: Step, target: Target, atMs: number): Step =>
  oweCommand(step, target, orderBack(step.state, target), atMs, (index) => ({
    wasToldToGoBack: true,
    owedRevert: index
  }))

const finish = (step: Step, outcome: Outcome, reason: string, atMs: number): Step => {
  const released = forEachTarget(step, abandonInFlight)
  const rested = forEachTarget(released, (done, target) =>
    withTarget(done, target, { state: restOf(target.state, outcome) })
  )
  return withState(rested, {
    phase: 'ended',
    outcome,
    reason,
    endedAtMs: atMs,
    nextBatchAtMs: null,
    pausedUntilMs: null
  })
}

/** What is not decided when it ends; votes stay beside a refusal, because they are its reason. */
const restOf = (state: TargetState, outcome: Outcome): TargetState => {
  if (!['pending', 'planning', 'staging', 'ready'].includes(state)) return state
  if (outcome !== 'refused') return 'untouched'
  return state === 'ready' ? 'ready' : 'pending'
}
