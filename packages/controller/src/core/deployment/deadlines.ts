// Until when the deployment waits for each host, for the image that the controller fetches or compares, and for the next batch.
import { isRunningCommand } from './release-command.ts'
import type { DeploymentState, Target } from './state.ts'

export type Due = { atMs: number; isLost: boolean }

/** When the wait for this host is over: it is lost, or its command is past its deadline. null: nothing is awaited. */
export const dueOf = (state: DeploymentState, target: Target): Due | null => {
  const lostAtMs = lostAt(state, target)
  const overdueAtMs = target.inFlight?.deadlineAtMs ?? Number.POSITIVE_INFINITY
  const atMs = Math.min(lostAtMs, overdueAtMs)
  return atMs === Number.POSITIVE_INFINITY ? null : { atMs, isLost: lostAtMs <= overdueAtMs }
}

/** The earliest moment at which `timePassed` changes something; null: only the hosts can. */
export const nextDeadline = (state: DeploymentState): number | null => {
  if (state.phase === 'ended') return null
  const moments = state.targets.flatMap((target) => dueOf(state, target)?.atMs ?? [])
  for (const { cache, comparing } of state.phase === 'requested' ? state.parts : []) {
    if (cache?.state === 'fetching' && cache.untilMs !== null) moments.push(cache.untilMs)
    if (comparing != null) moments.push(comparing.untilMs)
  }
  for (const atMs of [state.nextBatchAtMs, state.pausedUntilMs]) if (atMs !== null) moments.push(atMs)
  return moments.length === 0 ? null : Math.min(...moments)
}

/** Counted from the later of: the session ended, the host was needed. One that never comes back is lost at once. */
const lostAt = (state: DeploymentState, target: Target): number => {
  const neededAtMs = neededSince(state, target)
  if (target.absentSinceMs === null || neededAtMs === null) return Number.POSITIVE_INFINITY
  const patienceMs = target.goneBecause === undefined ? state.timing.lostAfterMs : 0
  return Math.max(target.absentSinceMs, neededAtMs) + patienceMs
}

const neededSince = (state: DeploymentState, target: Target): number | null => {
  if (target.inFlight !== null) return target.inFlight.sentAtMs
  if (target.state === 'ready' && isVoting(state)) return target.absentSinceMs
  return state.phase === 'rolling' && target.state === 'ready' ? target.turnAtMs : null
}

/** A host that is gone before anything is begun takes its vote back. */
const isVoting = (state: DeploymentState): boolean =>
  state.phase === 'staging' || (state.phase === 'preparing' && !isRunningCommand(state))
