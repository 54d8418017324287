// Which target switches in which batch, through all parts: hosts that run the release already are left alone, unless
// it is to be made anew.
import { formBatches } from '../batches/form-batches.ts'
import { withPart, withTarget } from './change-step.ts'
import type { Step } from './events.ts'
import { type DeploymentState, type Part, participants, type Target } from './state.ts'

/** Targets of the part that have to switch, in their order. */
export const waitingFor = (state: DeploymentState, part: Part): Target[] =>
  participants(state, part).filter((target) => !target.isRunning || part.recreate)

/** Gives each waiting target its batch; the others have none. */
export const formParts = (step: Step): Step => step.state.parts.reduce(formPart, { step, batches: 0 }).step

const formPart = ({ step, batches }: { step: Step; batches: number }, part: Part) => {
  const waiting = waitingFor(step.state, part)
  const numbers = formBatches(part.rollout, waiting.length)
  const placed = waiting.reduce(
    (done, target, position) => withTarget(done, target, { batch: batches + (numbers[position] ?? 1) }),
    step
  )
  return {
    step: withPart(placed, part, { isUnchanged: waiting.length === 0 }),
    batches: batches + Math.max(0, ...numbers)
  }
}
