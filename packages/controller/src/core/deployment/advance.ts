// What follows from what is known: the phases, each asking for the next commands or handing over to the next
// phase. Called after every event until nothing more follows.
import type { Step } from './events.ts'
import { advancePaused } from './pause.ts'
import { advancePlanning } from './plan.ts'
import { advancePreparing } from './prepare.ts'
import { advanceRehearsing } from './rehearse.ts'
import { advanceRemoving } from './remove.ts'
import { advanceRequested } from './resolve.ts'
import { advanceReverting } from './revert.ts'
import { advanceRolling } from './roll.ts'
import { advanceStaging } from './stage.ts'
import { isRemoval } from './state.ts'
import { advanceUpgrading } from './upgrade.ts'

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
      if (step.state.mode === 'upgrade') return advanceUpgrading(step, atMs)
      return isRemoval(step.state) ? advanceRemoving(step, atMs) : advanceRolling(step, atMs)
    case 'reverting':
      return advanceReverting(step, atMs)
    case 'planning':
      return advancePlanning(step, atMs)
    case 'preparing':
      return advancePreparing(step, atMs)
    case 'rehearsing':
      return advanceRehearsing(step, atMs)
    case 'paused':
      return advancePaused(step, atMs)
    case 'ended':
      return step
    default:
      return phase satisfies never
  }
}
