// The one sentence that says why a deployment ended as it did, for somebody who was just woken up: which host,
// what happened there, and what runs now.
import { type DeploymentState, isRepair, participants, type Target } from './state.ts'

export const succeededReason = (state: DeploymentState): string => {
  const hosts = allOf(participants(state).length)
  return state.isUnchanged
    ? `${hosts} already on release ${state.release}, healthy; nothing was restarted`
    : `${hosts} on release ${state.release}, healthy`
}

export const refusedReason = (state: DeploymentState, why?: string): string => {
  if (why !== undefined) return `${why}; no container was stopped`
  const votes = state.targets.filter((target) => target.state === 'not-ready')
  return `not ready: ${votes.map(hostAndReason).join('; ')}; no container was stopped`
}

export const unresolvedReason = ({ repository, tag, resolve, knownTags }: DeploymentState): string => {
  const failures = resolve.failures.join('; ') || 'no host is connected'
  const known = knownTags.length === 0 ? '' : `; tags released here before: ${knownTags.join(', ')}`
  return `${repository}:${tag} could not be resolved: ${failures}${known}`
}

export const revertedReason = (state: DeploymentState): string =>
  `${causeOf(state)}; ${whatWasTakenBack(state)}`

export const mixedReason = (state: DeploymentState): string => {
  const odd = participants(state).filter((target) => ['failed', 'unknown'].includes(target.state))
  const named = odd.map((target) => `${hostAndReason(target)} (${servingText(state, target)})`)
  const rest = participants(state).length - odd.length
  const others = rest === 0 ? '' : `; ${othersText(state, rest)}`
  const cause = state.phase === 'rolling' ? 'some hosts could not switch' : causeOf(state)
  return `${cause}; ${named.join('; ')}${others}`
}

/** `host a: the container exited with code 1`, for `cause` and lists. */
export const hostAndReason = (target: Target): string =>
  `host ${target.host}: ${target.reason ?? `is ${target.state}`}`

const causeOf = (state: DeploymentState): string => state.cause ?? `cancelled by ${state.cancelledBy}`

const whatWasTakenBack = (state: DeploymentState): string => {
  if (isRepair(state)) return `release ${state.release} stays the current one`
  const switched = participants(state).filter((target) => target.state === 'reverted')
  const [first] = switched
  if (first === undefined) return 'every host runs what it ran before'
  const isOne = switched.length === 1
  const hosts = isOne ? 'the 1 switched host' : `all ${switched.length} switched hosts`
  if (switched.some(({ former }) => former !== first.former))
    return `${hosts} are back on what they ran before`
  return first.former === null
    ? `release ${state.release} was removed from ${hosts}, there was none before it`
    : `${hosts} ${isOne ? 'is' : 'are'} back on release ${first.former}`
}

const othersText = (state: DeploymentState, count: number): string => {
  const released = participants(state).filter((target) => target.state === 'released').length
  if (released > 0) return `${released} on release ${state.release}`
  return `${count} on what they ran before`
}

const servingText = (state: DeploymentState, { serving }: Target): string => {
  switch (serving) {
    case 'new':
      return `release ${state.release} still runs there`
    case 'old':
      return 'the former release runs there'
    case 'none':
      return 'nothing runs there'
    case 'unknown':
      return 'what runs there is not known'
    default:
      return serving satisfies never
  }
}

const allOf = (count: number): string => (count === 1 ? 'the 1 host is' : `all ${count} hosts are`)
