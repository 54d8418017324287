// Only a look: every connected host says what it would do and why it would not. Ends `succeeded` when nothing stands
// in the way as far as can be seen, else `refused`.
import { forEachTarget, giveCommand, withState } from './change-step.ts'
import { endCancelledEarly, endPlanned, endRefused } from './end.ts'
import type { Step } from './events.ts'
import { formParts } from './form-parts.ts'
import { planObjections } from './reasons.ts'
import { partOf } from './state.ts'

export const planEverywhere = (step: Step, atMs: number): Step =>
  forEachTarget(withState(step, { phase: 'planning' }), (done, target) => {
    if (target.state !== 'pending') return done
    const { recreate } = partOf(done.state, target)
    return giveCommand(done, target, { kind: 'plan', recreate }, atMs, { state: 'planning' })
  })

export const advancePlanning = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return endCancelledEarly(step, atMs)
  if (state.targets.some(({ inFlight }) => inFlight !== null)) return step
  const formed = formParts(step)
  const objections = planObjections(state)
  return objections === null ? endPlanned(formed, atMs) : endRefused(formed, atMs, objections)
}
