// The service leaves its hosts: all at once, because there is nothing to go back to. A host that does not answer
// keeps the order and obeys it when it returns.
import { forEachTarget, giveCommand, withState } from './change-step.ts'
import { endRemoved } from './end.ts'
import type { Order, Step } from './events.ts'
import { partOf } from './state.ts'

export const removeEverywhere = (step: Step, atMs: number): Step =>
  forEachTarget(withState(step, { phase: 'rolling', batch: 1 }), (done, target) => {
    if (target.state !== 'pending') return done
    const { removal } = partOf(done.state, target)
    const order: Order = { kind: 'remove', release: null, containers: removal?.containers ?? null }
    return giveCommand(done, target, order, atMs, { state: 'removing', batch: 1 })
  })

/** A cancellation comes too late: what is gone is gone, and the outcome says what is. */
export const advanceRemoving = (step: Step, atMs: number): Step =>
  step.state.targets.some(({ inFlight }) => inFlight !== null) ? step : endRemoved(step, atMs)
