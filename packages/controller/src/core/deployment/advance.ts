// What follows from what is known: the phases, each asking for the next commands or handing over to the next
// phase. Called after every event until nothing more follows.
import { formBatches } from '../batches/form-batches.ts'
import { cancelInFlight, forEachTarget, giveCommand, withState, withTarget } from './change-step.ts'
import {
  endCancelledEarly,
  endMixed,
  endRefused,
  endReverted,
  endSucceeded,
  isBack,
  orderBack,
  oweBack
} from './end.ts'
import { hostAndReason, unresolvedReason } from './reasons.ts'
import { type DeploymentState, isRepair, participants, type Step, type Target } from './state.ts'

export const advance = (step: Step, atMs: number): Step => {
  const next = advanceOnce(step, atMs)
  const isSettled = next.state.phase === step.state.phase && next.state.batch === step.state.batch
  return isSettled ? next : advance(next, atMs)
}

const advanceOnce = (step: Step, atMs: number): Step => {
  const { phase } = step.state
  switch (phase) {
    case 'requested':
      return advanceRequested(step, atMs)
    case 'staging':
      return advanceStaging(step, atMs)
    case 'rolling':
      return advanceRolling(step, atMs)
    case 'reverting':
      return advanceReverting(step, atMs)
    case 'ended':
      return step
    default:
      return phase satisfies never
  }
}

/** Until the digest is known: one connected host after the other is asked for it. */
const advanceRequested = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return endCancelledEarly(step, atMs)
  if (state.targets.some((target) => target.state === 'not-ready')) return endRefused(step, atMs)
  if (state.digest !== null) return stageEverywhere(pinRelease(step), atMs)
  if (state.targets.some((target) => target.inFlight !== null)) return step
  const next = participants(state).find(
    ({ agent, absentSinceMs }) => absentSinceMs === null && !state.resolve.asked.includes(agent)
  )
  if (next === undefined) {
    return endRefused(step, atMs, unresolvedReason(state))
  }
  const resolve = { ...state.resolve, asked: [...state.resolve.asked, next.agent] }
  return giveCommand(withState(step, { resolve }), next, { kind: 'resolve' }, atMs)
}

/** The same image and spec as the current release are that release, unless it is to be made anew. */
const pinRelease = (step: Step): Step => {
  const { state } = step
  const { current, digest } = state
  if (digest === null) return step
  const isCurrent =
    current !== null &&
    !state.recreate &&
    current.digest === digest &&
    current.repository === state.repository &&
    current.specRevision === state.specRevision
  const release = isCurrent ? current.release : state.release
  const pinned = withState(step, { release })
  return { state: pinned.state, effects: [...pinned.effects, { kind: 'pinRelease', release, digest }] }
}

const stageEverywhere = (step: Step, atMs: number): Step =>
  forEachTarget(withState(step, { phase: 'staging' }), (done, target) =>
    target.state === 'skipped'
      ? done
      : giveCommand(done, target, { kind: 'stage' }, atMs, { state: 'staging' })
  )

/** Every vote is waited for, so that the operator sees at once all that stands in the way. */
const advanceStaging = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return endCancelledEarly(step, atMs)
  const targets = participants(state)
  if (targets.some((target) => target.state === 'staging')) return step
  if (targets.some((target) => target.state === 'not-ready')) return endRefused(step, atMs)
  return beginRolling(step, atMs)
}

/** Hosts that run the release already are left alone, unless it is to be made anew. */
const beginRolling = (step: Step, atMs: number): Step => {
  const isDone = (target: Target) => target.isRunning && !step.state.recreate
  const waiting = participants(step.state).filter((target) => !isDone(target))
  const batches = formBatches(step.state.rollout.parallelism, waiting.length)
  const rolling = forEachTarget(withState(step, { phase: 'rolling' }), (done, target) => {
    const position = waiting.findIndex(({ agent }) => agent === target.agent)
    if (position >= 0) return withTarget(done, target.agent, { batch: batches[position] ?? 1 })
    return target.state === 'skipped' ? done : withTarget(done, target.agent, { state: 'released' })
  })
  const begun = withState(rolling, { batch: 1 })
  return waiting.length === 0 ? endSucceeded(withState(begun, { isUnchanged: true }), atMs) : begun
}

const advanceRolling = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return beginReverting(step, null)
  const failed = participants(state).filter((target) => hasFailed(target))
  const tolerated = toleratedFailures(state)
  const first = failed[0]
  if (first !== undefined && failed.length > tolerated) return beginReverting(step, hostAndReason(first))
  if (state.nextBatchAtMs !== null) {
    return atMs < state.nextBatchAtMs
      ? step
      : withState(step, { nextBatchAtMs: null, batch: state.batch + 1 })
  }
  const given = forEachTarget(step, (done, target) => giveTurn(done, target, atMs))
  const isBusy = given.state.targets.some(
    (target) => target.batch === state.batch && ['ready', 'releasing'].includes(target.state)
  )
  return isBusy ? given : afterBatch(given, atMs)
}

/** 0.29 of 100 hosts are 29, although the product of the two is a little less in floating point. */
const toleratedFailures = (state: DeploymentState): number =>
  Math.floor(state.rollout.maxFailureRatio * participants(state).length + 1e-9)

/** Nothing is sent to a host that is away: as long as nothing was sent, it is known what runs there. */
const giveTurn = (step: Step, target: Target, atMs: number): Step => {
  const { batch, recreate } = step.state
  if (target.batch !== batch || target.state !== 'ready') return step
  if (target.absentSinceMs !== null) {
    return target.turnAtMs === null ? withTarget(step, target.agent, { turnAtMs: atMs }) : step
  }
  const change: Partial<Target> = { state: 'releasing', mayRunNew: true, turnAtMs: null }
  return giveCommand(step, target, { kind: 'release', recreate }, atMs, change)
}

const afterBatch = (step: Step, atMs: number): Step => {
  const { state } = step
  const hasMore = state.targets.some((target) => target.batch !== null && target.batch > state.batch)
  if (hasMore && state.rollout.delayMs === 0) return withState(step, { batch: state.batch + 1 })
  if (hasMore) return withState(step, { nextBatchAtMs: atMs + state.rollout.delayMs })
  const areReleased = participants(state).every((target) => target.state === 'released')
  return areReleased ? endSucceeded(step, atMs) : endMixed(step, atMs)
}

/** Its switch failed, whatever became of it since. */
const hasFailed = (target: Target): boolean => ['failed', 'unknown', 'reverted'].includes(target.state)

/** @param cause what failed; null: cancelled */
const beginReverting = (step: Step, cause: string | null): Step => {
  const reverting = withState(step, { phase: 'reverting', cause, nextBatchAtMs: null })
  return forEachTarget(reverting, (done, target) =>
    target.state === 'ready'
      ? withTarget(done, target.agent, { state: 'untouched', turnAtMs: null })
      : cancelInFlight(done, target)
  )
}

/** Every host that switched, or may have, is told once to go back; then their answers decide. */
const advanceReverting = (step: Step, atMs: number): Step => {
  const told = forEachTarget(step, (done, target) => tellToGoBack(done, target, atMs))
  return told.state.targets.some((target) => target.inFlight !== null) ? told : endReverted(told, atMs)
}

const tellToGoBack = (step: Step, target: Target, atMs: number): Step => {
  if (!mustGoBack(step.state, target)) return step
  if (target.state === 'unknown' && target.absentSinceMs !== null) return oweBack(step, target, atMs)
  const change: Partial<Target> = { state: 'reverting', wasToldToGoBack: true }
  return giveCommand(step, target, orderBack(step.state, target), atMs, change)
}

const mustGoBack = (state: DeploymentState, target: Target): boolean =>
  target.state !== 'skipped' &&
  target.inFlight === null &&
  !target.wasToldToGoBack &&
  !isRepair(state) &&
  !isBack(state, target)
