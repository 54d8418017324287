// Until the digest of every part is known: per part, one connected host after the other is asked for it. What the
// controller's own store says counts where it is the first source, or where the hosts' sources do not say.
import { isArtifactFirst, sourcesOnHosts } from '../requests/choose-sources.ts'
import { beginFetches, isFetching } from './cache.ts'
import { giveCommand, withPart, withState } from './change-step.ts'
import { beginComparisons, isComparing } from './compare-stored.ts'
import { endCancelledEarly, endRefused } from './end.ts'
import type { Step } from './events.ts'
import { planEverywhere } from './plan.ts'
import { unresolvedReason } from './reasons.ts'
import { removeEverywhere } from './remove.ts'
import { stageEverywhere } from './stage.ts'
import { type DeploymentState, isRemoval, type Part, participants, partOf, type Target } from './state.ts'
import { beginUpgrading } from './upgrade.ts'

export const advanceRequested = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return endCancelledEarly(step, atMs)
  const isOffline = state.targets.some((target) => target.state === 'not-ready')
  if (isOffline && state.mode !== 'plan') return endRefused(step, atMs)
  if (isRemoval(state)) return removeEverywhere(step, atMs)
  const known = state.parts.reduce(takeFromStore, step)
  if (known !== step) return advanceRequested(known, atMs)
  const open = state.parts.filter((part) => part.digest === null)
  if (open.length === 0) return fetchThenGoOn(step, atMs)
  const idle = open.filter((part) => participants(state, part).every(({ inFlight }) => inFlight === null))
  const stuck = idle.find((part) => nextToAsk(state, part) === undefined)
  if (stuck !== undefined) return endRefused(step, atMs, unresolvedReason(stuck))
  return idle.reduce((done, part) => ask(done, part, atMs), step)
}

/** A plan only looks. */
const fetchThenGoOn = (step: Step, atMs: number): Step => {
  if (step.state.mode === 'plan') return goOn(step, atMs)
  const asked = beginComparisons(beginFetches(step, atMs), atMs)
  return isFetching(asked.state) || isComparing(asked.state) ? asked : goOn(asked, atMs)
}

const goOn = (step: Step, atMs: number): Step => {
  switch (step.state.mode) {
    case 'plan':
      return planEverywhere(step.state.parts.reduce(recognise, step), atMs)
    case 'rehearse':
      return stageEverywhere(step, atMs)
    case 'upgrade':
      return beginUpgrading(step)
    case 'deploy':
    case 'converge':
    case 'remove':
      return stageEverywhere(step.state.parts.reduce(pinRelease, step), atMs)
    default:
      return step.state.mode satisfies never
  }
}

/**
 * With the image in the controller's store, as many hosts are asked before that counts: a second one may have the
 * credentials that the first lacks; a registry that two cannot ask is down.
 */
const maxAskedBeforeStore = 2

const takeFromStore = (step: Step, part: Part): Step => {
  const { digest, artifact, sources = [], resolve, cache } = part
  const isSource = cache != null || sources.some(({ kind }) => kind === 'artifact')
  if (digest !== null || artifact == null || !isSource) return step
  const isAsking = participants(step.state, part).some(({ inFlight }) => inFlight !== null)
  const isLeft = nextToAsk(step.state, part) !== undefined && resolve.asked.length < maxAskedBeforeStore
  const isFirst = isArtifactFirst(sources) && artifact.isFormer !== true
  if (!isFirst && (isAsking || isLeft)) return step
  const taken = withPart(step, part, { digest: artifact.digest })
  if (resolve.failures.length === 0) return taken
  const warning = `the controller said which image ${part.repository}:${part.tag} is: ${resolve.failures.join('; ')}`
  return withState(taken, { warnings: [...taken.state.warnings, warning] })
}

/** Nobody, where only the controller can be asked. */
const nextToAsk = (state: DeploymentState, part: Part): Target | undefined =>
  part.sources !== undefined && sourcesOnHosts(part.sources).length === 0
    ? undefined
    : participants(state, part).find(
        ({ agent, absentSinceMs }) => absentSinceMs === null && !part.resolve.asked.includes(agent)
      )

const ask = (step: Step, part: Part, atMs: number): Step => {
  const next = nextToAsk(step.state, part)
  if (next === undefined) return step
  const resolve = { ...part.resolve, asked: [...part.resolve.asked, next.agent] }
  return giveCommand(withPart(step, part, { resolve }), next, { kind: 'resolve' }, atMs)
}

/** The same image and spec as the current release are that release, unless it is to be made anew. */
const recognise = (step: Step, part: Part): Step => {
  const { current, digest } = part
  const isCurrent =
    current !== null &&
    !part.recreate &&
    current.digest === digest &&
    current.repository === part.repository &&
    current.specRevision === part.specRevision
  return isCurrent ? withPart(step, part, { release: current.release }) : step
}

const pinRelease = (step: Step, part: Part): Step => {
  const { state, effects } = recognise(step, part)
  const { service, release, digest } = partOf(state, part)
  if (digest === null) return { state, effects }
  return { state, effects: [...effects, { kind: 'pinRelease', service, release, digest }] }
}
