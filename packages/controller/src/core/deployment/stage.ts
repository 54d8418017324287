// Every target of every part votes before anything is stopped anywhere.
import { forEachTarget, giveCommand, withState } from './change-step.ts'
import { endCancelledEarly, endRefused } from './end.ts'
import type { Step } from './events.ts'
import { beginPreparing } from './prepare.ts'
import { rehearseEverywhere } from './rehearse.ts'
import { participants } from './state.ts'

export const stageEverywhere = (step: Step, atMs: number): Step =>
  forEachTarget(withState(step, { phase: 'staging' }), (done, target) =>
    target.state === 'skipped'
      ? done
      : giveCommand(done, target, { kind: 'stage' }, atMs, { state: 'staging' })
  )

/** Every vote is waited for, so that the operator sees at once all that stands in the way. */
export const advanceStaging = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return endCancelledEarly(step, atMs)
  const targets = participants(state)
  if (targets.some((target) => target.state === 'staging')) return step
  if (targets.some((target) => target.state === 'not-ready')) return endRefused(step, atMs)
  return state.mode === 'rehearse' ? rehearseEverywhere(step, atMs) : beginPreparing(step, atMs)
}
