// The release commands: part by part, each once, on one ready host, after every vote and before the first switch.
import { cancelInFlight, forEachTarget, giveCommand, withState } from './change-step.ts'
import { endCancelledEarly, endRefused } from './end.ts'
import type { Order, Step } from './events.ts'
import { waitingFor } from './form-parts.ts'
import { commandText, isRunningCommand, withReleaseCommand } from './release-command.ts'
import { beginRolling } from './roll.ts'
import { type DeploymentState, type Part, participants, type Target } from './state.ts'

export const beginPreparing = (step: Step, atMs: number): Step =>
  nextPart(step.state) === undefined ? beginRolling(step, atMs) : withState(step, { phase: 'preparing' })

export const advancePreparing = (step: Step, atMs: number): Step => {
  const { state } = step
  const isCancelled = state.cancelledBy !== null
  if (isRunningCommand(state)) return isCancelled ? forEachTarget(step, cancelInFlight) : step
  if (isCancelled) return endCancelledEarly(step, atMs)
  const failed = state.parts.find(({ releaseCommand }) => hasFailed(releaseCommand?.state))
  if (failed !== undefined) return endRefused(step, atMs, commandText(failed, state.parts.length === 1))
  if (participants(state).some((target) => target.state === 'not-ready')) return endRefused(step, atMs)
  const next = nextPart(state)
  return next === undefined ? beginRolling(step, atMs) : runOnce(step, next, atMs)
}

const hasFailed = (state: string | undefined): boolean => state === 'failed' || state === 'unknown'

/** A service that runs everywhere already is not prepared for. */
const nextPart = (state: DeploymentState): Part | undefined =>
  state.parts.find((part) => part.releaseCommand?.state === 'pending' && waitingFor(state, part).length > 0)

const runOnce = (step: Step, part: Part, atMs: number): Step => {
  const host = participants(step.state, part).find((target) => isThere(target))
  if (host === undefined || part.releaseCommand === null) return step
  const { command, timeoutMs } = part.releaseCommand
  const running = withReleaseCommand(step, part, { state: 'running', host: host.host })
  const order: Order = { kind: 'run-once', command, timeoutMs }
  return giveCommand(running, host, order, atMs)
}

const isThere = ({ state, absentSinceMs }: Target): boolean => state === 'ready' && absentSinceMs === null
