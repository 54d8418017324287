// A rehearsal: after every vote, each host starts the release beside what serves, waits until it is healthy, and
// removes it. Nothing is switched, so whatever happens the deployment is refused at worst.
import { cancelInFlight, forEachTarget, giveCommand, withState } from './change-step.ts'
import { endCancelledEarly, endRefused, endRehearsed } from './end.ts'
import type { Step } from './events.ts'
import { rehearsalReason } from './reasons.ts'
import { participants } from './state.ts'

export const rehearseEverywhere = (step: Step, atMs: number): Step =>
  forEachTarget(withState(step, { phase: 'rehearsing' }), (done, target) =>
    target.state === 'ready'
      ? giveCommand(done, target, { kind: 'rehearse' }, atMs, { state: 'rehearsing' })
      : done
  )

/** Every verdict is waited for, as with votes; a cancelled rehearsal until its containers are gone. */
export const advanceRehearsing = (step: Step, atMs: number): Step => {
  const { state } = step
  const isCancelled = state.cancelledBy !== null
  if (participants(state).some(({ inFlight }) => inFlight !== null))
    return isCancelled ? forEachTarget(step, cancelInFlight) : step
  if (isCancelled) return endCancelledEarly(step, atMs)
  const areHealthy = participants(state).every((target) => target.state === 'rehearsed')
  return areHealthy ? endRehearsed(step, atMs) : endRefused(step, atMs, rehearsalReason(state))
}
