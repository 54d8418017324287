// The one sentence that says why a deployment ended as it did, for somebody who was just woken up: which host,
// what happened there, and what runs now. With several services each is named beside its host or release.

import { lastingEffects, unknownCommands } from './release-command.ts'
import {
  type DeploymentState,
  isPreempted,
  isRepair,
  isUnchanged,
  type Part,
  participants,
  partOf,
  type Target
} from './state.ts'
import type { Outcome } from './vocabulary.ts'

export const succeededReason = (state: DeploymentState): string => {
  const hosts = allOf(hostsOf(participants(state)).length)
  return isUnchanged(state)
    ? `${hosts} already on ${releases(state)}, healthy; nothing was restarted${skippedText(state)}`
    : `${hosts} on ${releases(state)}, healthy${skippedText(state)}`
}

export const cancelledEarlyReason = (state: DeploymentState): string =>
  `${cancelledText(state)}${unknownCommands(state)}; no container had been stopped${lastingEffects(state)}`

export const rehearsedReason = (state: DeploymentState): string =>
  `${releases(state)} became healthy beside what serves on ${countText(state)}, and ${isSingle(state) ? 'was' : 'were'} removed again; nothing was switched`

export const rehearsalReason = (state: DeploymentState): string => {
  const failed = participants(state).filter((target) => target.state !== 'rehearsed')
  return `the rehearsal failed: ${failed.map((target) => hostAndReason(state, target)).join('; ')}`
}

export const plannedReason = (state: DeploymentState): string => {
  const batches = Math.max(0, ...state.targets.map(({ batch }) => batch ?? 0))
  if (batches === 0) {
    const hosts = allOf(hostsOf(participants(state)).length)
    return `${hosts} already on ${releases(state)}; nothing would be restarted`
  }
  return `${releases(state)} would be brought to ${countText(state)} in ${batches === 1 ? '1 batch' : `${batches} batches`}; nothing was touched`
}

/** What stands in the way of a planned deployment; null: nothing that can be seen. */
export const planObjections = (state: DeploymentState): string | null => {
  const ofHosts = state.targets.flatMap((target) => {
    if (target.state === 'not-ready') return hostAndReason(state, target)
    return (target.plan?.refusals ?? []).map(({ detail }) => `${hostText(state, target)}: ${detail}`)
  })
  const objections = [...state.refusals.map(({ detail }) => detail), ...ofHosts]
  return objections.length === 0 ? null : `it would be refused: ${objections.join('; ')}`
}

export const removedReason = (state: DeploymentState): string => {
  const services = state.parts.map(({ service }) => service).join(' and ')
  const left = participants(state).filter((target) => target.state !== 'removed')
  if (participants(state).length === 0)
    return `${services} ${isSingle(state) ? 'has' : 'have'} no host to be removed from`
  if (left.length === 0)
    return `${services} ${isSingle(state) ? 'is' : 'are'} gone from ${countText(state)}${skippedText(state)}`
  const named = left.map((target) => `${hostAndReason(state, target)} (${leftText(target)})`)
  return `${services} could not be removed everywhere; ${named.join('; ')}`
}

export const upgradedReason = (state: DeploymentState, outcome: Outcome): string => {
  const targets = participants(state)
  const done = targets.filter((target) => target.state === 'released').length
  const [part] = state.parts
  const image = part === undefined ? '' : `${part.repository}${part.tag === null ? '' : `:${part.tag}`}`
  if (outcome === 'succeeded')
    return `${done === 1 ? 'the 1 agent runs' : `all ${done} agents run`} ${image}${skippedText(state)}`
  const stayed = targets.filter((target) => target.state === 'failed' || target.state === 'unknown')
  const named = stayed.map(
    (target) =>
      `${hostAndReason(state, target)} (${target.state === 'unknown' ? 'which agent runs there is not known' : 'the former agent runs on'})`
  )
  const cause = named.length > 0 ? named.join('; ') : cancelledText(state)
  const unsure = targets.filter((target) => target.state === 'unknown').length
  if (unsure === 0)
    return `${cause}; ${done} of ${targets.length} agents run ${image}, the others are as they were`
  const known = targets.length - unsure
  return known === 0
    ? cause
    : `${cause}; ${done} of the other ${known} agents run ${image}, the rest is as it was`
}

export const refusedReason = (state: DeploymentState, why?: string): string => {
  const promise = `no container was stopped${lastingEffects(state)}`
  if (why !== undefined) return `${why}; ${promise}`
  const votes = state.targets.filter((target) => target.state === 'not-ready')
  const named = votes.map((target) => hostAndReason(state, target))
  return `not ready: ${named.join('; ')}; ${promise}`
}

export const unresolvedReason = ({ repository, tag, resolve, knownTags, sources = [] }: Part): string => {
  const isStored = sources.some(({ kind }) => kind === 'artifact')
  const told = [...resolve.failures, ...(isStored ? ['the controller has no such image'] : [])]
  const failures = told.join('; ') || 'no host is connected'
  const known = knownTags.length === 0 ? '' : `; tags released here before: ${knownTags.join(', ')}`
  return `${repository}:${tag} could not be resolved: ${failures}${known}`
}

export const revertedReason = (state: DeploymentState): string =>
  `${causeOf(state)}; ${whatWasTakenBack(state)}${lastingEffects(state)}`

export const mixedReason = (state: DeploymentState): string => {
  const odd = participants(state).filter((target) => ['failed', 'unknown'].includes(target.state))
  const named = odd.map((target) => `${hostAndReason(state, target)} (${servingText(state, target)})`)
  const rest = participants(state).filter((target) => !odd.includes(target))
  const others = rest.length === 0 ? '' : `; ${othersText(state, rest)}`
  const cause = state.phase === 'rolling' ? 'some hosts could not switch' : causeOf(state)
  return `${cause}; ${named.join('; ')}${others}`
}

/** `host a: the container exited with code 1`, for `cause` and lists. */
export const hostAndReason = (state: DeploymentState, target: Target): string =>
  `${hostText(state, target)}: ${target.reason ?? `is ${target.state}`}`

/** `by` of a preemption says so itself. */
export const cancelledText = (state: DeploymentState): string =>
  isPreempted(state) ? `${state.cancelledBy}` : `cancelled by ${state.cancelledBy}`

const isSingle = (state: DeploymentState): boolean => state.parts.length === 1

const hostText = (state: DeploymentState, { host, service }: Target): string =>
  isSingle(state) ? `host ${host}` : `host ${host}, ${service}`

const releaseText = (state: DeploymentState, { service, release }: Pick<Part, 'service' | 'release'>) =>
  isSingle(state) ? `release ${release}` : `${service} release ${release}`

const releases = (state: DeploymentState): string =>
  state.parts.map((part) => releaseText(state, part)).join(' and ')

const countText = (state: DeploymentState): string => {
  const count = hostsOf(participants(state)).length
  return count === 1 ? 'the 1 host' : `all ${count} hosts`
}

/** "All hosts" are those that were asked. */
const skippedText = ({ targets }: DeploymentState): string => {
  const hosts = hostsOf(targets.filter(({ state }) => state === 'skipped'))
  if (hosts.length === 0) return ''
  const named = hosts.length > 3 ? `${hosts.length} hosts` : hosts.map((host) => `host ${host}`).join(' and ')
  return hosts.length === 1
    ? `; ${named} was skipped and follows when it is back`
    : `; ${named} were skipped and follow when they are back`
}

const leftText = ({ serving, state }: Target): string =>
  state === 'unknown'
    ? 'what runs there is not known'
    : serving === 'none'
      ? 'nothing runs there'
      : 'it still runs there'

const hostsOf = (targets: Target[]): string[] => [...new Set(targets.map(({ host }) => host))]

const causeOf = (state: DeploymentState): string => state.cause ?? cancelledText(state)

const whatWasTakenBack = (state: DeploymentState): string => {
  const isOnlyRepair = state.parts.every(isRepair)
  if (isOnlyRepair)
    return `${releases(state)} ${isSingle(state) ? 'stays' : 'stay'} the current one${isSingle(state) ? '' : 's'}`
  const switched = participants(state).filter((target) => target.state === 'reverted')
  const [first] = switched
  if (first === undefined) return 'every host runs what it ran before'
  const count = hostsOf(switched).length
  const hosts = count === 1 ? 'the 1 switched host' : `all ${count} switched hosts`
  const are = count === 1 ? 'is' : 'are'
  if (switched.some(({ former, service }) => former !== first.former || service !== first.service))
    return `${hosts} ${are} back on what they ran before`
  const { service, former } = first
  return former === null
    ? `${releaseText(state, partOf(state, first))} was removed from ${hosts}, there was none before it`
    : `${hosts} ${are} back on ${releaseText(state, { service, release: former })}`
}

const othersText = (state: DeploymentState, rest: Target[]): string => {
  const released = rest.filter((target) => target.state === 'released')
  const [first] = released
  if (first === undefined) return `${rest.length} on what they ran before`
  const isOne = released.every(({ service }) => service === first.service)
  return isOne
    ? `${released.length} on ${releaseText(state, partOf(state, first))}`
    : `${released.length} on the new releases`
}

const servingText = (state: DeploymentState, target: Target): string => {
  const { serving } = target
  switch (serving) {
    case 'new':
      return `${releaseText(state, partOf(state, target))} still runs there`
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
