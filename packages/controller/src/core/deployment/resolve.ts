// Until the digest of every part is known: per part, one connected host after the other is asked for it.
import { giveCommand, withPart } from './change-step.ts'
import { endCancelledEarly, endRefused } from './end.ts'
import type { Step } from './events.ts'
import { unresolvedReason } from './reasons.ts'
import { stageEverywhere } from './stage.ts'
import { type DeploymentState, type Part, participants, type Target } from './state.ts'

export const advanceRequested = (step: Step, atMs: number): Step => {
  const { state } = step
  if (state.cancelledBy !== null) return endCancelledEarly(step, atMs)
  if (state.targets.some((target) => target.state === 'not-ready')) return endRefused(step, atMs)
  const open = state.parts.filter((part) => part.digest === null)
  if (open.length === 0) return stageEverywhere(state.parts.reduce(pinRelease, step), atMs)
  const idle = open.filter((part) => participants(state, part).every((target) => target.inFlight === null))
  const stuck = idle.find((part) => nextToAsk(state, part) === undefined)
  if (stuck !== undefined) return endRefused(step, atMs, unresolvedReason(stuck))
  return idle.reduce((done, part) => ask(done, part, atMs), step)
}

const nextToAsk = (state: DeploymentState, part: Part): Target | undefined =>
  participants(state, part).find(
    ({ agent, absentSinceMs }) => absentSinceMs === null && !part.resolve.asked.includes(agent)
  )

const ask = (step: Step, part: Part, atMs: number): Step => {
  const next = nextToAsk(step.state, part)
  if (next === undefined) return step
  const resolve = { ...part.resolve, asked: [...part.resolve.asked, next.agent] }
  return giveCommand(withPart(step, part, { resolve }), next, { kind: 'resolve' }, atMs)
}

/** The same image and spec as the current release are that release, unless it is to be made anew. */
const pinRelease = (step: Step, part: Part): Step => {
  const { current, digest, service } = part
  if (digest === null) return step
  const isCurrent =
    current !== null &&
    !part.recreate &&
    current.digest === digest &&
    current.repository === part.repository &&
    current.specRevision === part.specRevision
  const release = isCurrent ? current.release : part.release
  const pinned = withPart(step, part, { release })
  return {
    state: pinned.state,
    effects: [...pinned.effects, { kind: 'pinRelease', service, release, digest }]
  }
}
