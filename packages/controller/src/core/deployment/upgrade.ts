// Agents become another version of themselves, batch by batch. Each decides by itself which program goes on, so that
// nothing is ever taken back: the first that stays as it was ends the upgrade, and the others keep what they have.
import { forEachTarget, giveCommand, withState, withTarget } from './change-step.ts'
import { endUpgrade } from './end.ts'
import type { Step } from './events.ts'
import { formParts } from './form-parts.ts'
import { hasFailed, participants, type Target } from './state.ts'

export const beginUpgrading = (step: Step): Step =>
  forEachTarget(withState(formParts(step), { phase: 'rolling', batch: 1 }), (done, target) =>
    target.state === 'skipped' ? done : withTarget(done, target, { state: 'ready' })
  )

/** One that has been told decides within its limits: it is waited for, also after a cancellation. */
export const advanceUpgrading = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.targets.some(({ inFlight }) => inFlight !== null)) return step
  if (state.cancelledBy !== null || participants(state).some(hasFailed)) return endUpgrade(step, atMs)
  const given = forEachTarget(step, (done, target) => giveTurn(done, target, atMs))
  const inBatch = given.state.targets.filter(({ batch }) => batch === given.state.batch)
  if (inBatch.some((target) => target.state !== 'released')) return given
  const isLast = !given.state.targets.some(({ batch }) => (batch ?? 0) > given.state.batch)
  return isLast ? endUpgrade(given, atMs) : withState(given, { batch: given.state.batch + 1 })
}

const giveTurn = (step: Step, target: Target, atMs: number): Step => {
  if (target.batch !== step.state.batch || target.state !== 'ready') return step
  if (target.absentSinceMs !== null)
    return target.turnAtMs === null ? withTarget(step, target, { turnAtMs: atMs }) : step
  const change: Partial<Target> = { state: 'releasing', turnAtMs: null }
  return giveCommand(step, target, { kind: 'upgrade' }, atMs, change)
}
