// What is done about one service on one host that differs from what was decided: start, wait, give up, or leave it.
// Pure; of a service that a deployment holds nothing is asked, who may go at the same time as others is pace.ts, what is asked when is engine/converge.ts.
import type { DeploymentId } from '@longshore/protocol'
import type { HostJudgement } from '../targets/judge-host.ts'

/** What a host is to run, since which deployment. `release` null: nothing of the service. */
export type Desired = { release: number | null; generation: number }

/** What has been tried so far. Belongs to what was desired then: for anything else it counts for nothing. */
export type TriesSoFar = Desired & {
  tries: number
  /** The deployment of the try in progress; null: none. */
  deployment: DeploymentId | null
  /** Nothing of the service ran there when the last try began: while it goes on, a host may have stopped what it ran. */
  servedNothing: boolean
  /** Not before this; null: as soon as something differs. */
  nextAtMs: number | null
  /** When the last try ended; null: none has. */
  endedAtMs: number | null
  /** Why the last try failed, or why there is none any more; null: it succeeded. */
  reason: string | null
}

export type ConvergenceQuestion = {
  nowMs: number
  desired: Desired
  judgement: HostJudgement
  soFar: TriesSoFar | undefined
  /** A deployment that ended mixed brought the host what it runs: people decide what becomes of that. */
  isLeft: boolean
  /** Hosts that were changed by hand are repaired. */
  isHealing: boolean
  /** A run of the service is not over on this host, or its end has not been told. */
  isBusy: boolean
  /** What the host said before this may be older than its last run. */
  trustedFromMs: number
  /** Whether hosts may be freed of the service, see `mayLeave`. */
  mayLeave: boolean
}

export type Action = { kind: 'bring'; recreate: boolean } | { kind: 'remove'; containers: string[] }
export type ConvergenceDecision =
  /** `isAtRest`: the host is as it should be, as far as the controller may care. */
  | { kind: 'nothing'; isAtRest: boolean }
  | { kind: 'wait'; untilMs: number }
  /** Counted from 1. */
  | { kind: 'start'; action: Action; tries: number }
  | { kind: 'give-up'; reason: string }

/** After the first try, the second, and so on; as many tries as there are waits, and one more. */
export const backoffMs = [5_000, 15_000, 60_000, 300_000] as const
export const maxTries = backoffMs.length + 1
/** A host that has been right for this long starts anew when it differs again. */
export const forgetAfterMs = 600_000

export const decideConvergence = (question: ConvergenceQuestion): ConvergenceDecision => {
  const { nowMs, isBusy, isLeft, trustedFromMs, judgement } = question
  if (isLeft || judgement.state === 'silent' || judgement.driftKind === 'unknown') return nothing
  if (question.soFar?.deployment != null) return nothing
  const action = actionFor(question)
  if (action === null) return atRest(question)
  const soFar = triesThatCount(question)
  if (soFar !== undefined && soFar.tries >= maxTries)
    return { kind: 'give-up', reason: soFar.reason ?? yetDiffers(judgement) }
  const fromMs = Math.max(trustedFromMs, waitOf(soFar, nowMs), isBusy ? nowMs + busyAgainMs : 0)
  if (nowMs < fromMs) return { kind: 'wait', untilMs: fromMs }
  return { kind: 'start', action, tries: (soFar?.tries ?? 0) + 1 }
}

/** A host that still shows what its last run has since undone is no reason to forget how that run ended. */
const atRest = ({ nowMs, judgement, soFar, trustedFromMs }: ConvergenceQuestion): ConvergenceDecision => {
  const isAtRest = judgement.driftKind === undefined
  if (isAtRest && soFar !== undefined && nowMs < trustedFromMs)
    return { kind: 'wait', untilMs: trustedFromMs }
  return { kind: 'nothing', isAtRest }
}

/** A try that is to end in the future: the clock was set back since, and nobody knows how long it was waited. */
const waitOf = (soFar: TriesSoFar | undefined, nowMs: number): number =>
  (soFar?.endedAtMs ?? 0) > nowMs ? 0 : (soFar?.nextAtMs ?? 0)

/** The end of a run is told; this is for one that ends unheard. */
const busyAgainMs = 30_000

const nothing: ConvergenceDecision = { kind: 'nothing', isAtRest: false }

const actionFor = ({
  desired,
  judgement,
  soFar,
  isHealing,
  mayLeave
}: ConvergenceQuestion): Action | null => {
  const { driftKind, unwanted } = judgement
  if (desired.release === null)
    return mayLeave && unwanted.length > 0 ? { kind: 'remove', containers: unwanted } : null
  switch (driftKind) {
    case 'missing':
      return { kind: 'bring', recreate: false }
    case 'stale':
      // The host took what it runs for the release that it was brought, and left it alone.
      return {
        kind: 'bring',
        recreate: soFar !== undefined && isFor(soFar, desired) && succeeded(soFar)
      }
    case 'changed':
    case 'crash-looping':
      return isHealing ? { kind: 'bring', recreate: true } : null
    case 'extra':
    case 'unknown':
    case undefined:
      return null
    default:
      return driftKind satisfies never
  }
}

/**
 * The last healthy one is never taken away: where the service belongs it must run, unless it was removed.
 * @param decided undefined: nothing has succeeded yet
 */
export const mayLeave = (
  decided: Pick<Desired, 'release'> | undefined,
  hosts: readonly { isPlaced: boolean; judgement: HostJudgement }[]
): boolean => {
  if (decided === undefined) return false
  if (decided.release === null) return true
  const heard = hosts.filter(({ isPlaced, judgement }) => isPlaced && judgement.state !== 'silent')
  return (
    heard.length > 0 && heard.every(({ judgement }) => judgement.state === 'running' && isWhole(judgement))
  )
}

/** What stands beside the containers that are wanted takes nothing from them. */
const isWhole = ({ driftKind }: HostJudgement): boolean => driftKind === undefined || driftKind === 'extra'

const isFor = ({ release, generation }: TriesSoFar, desired: Desired): boolean =>
  release === desired.release && generation === desired.generation

const succeeded = ({ endedAtMs, reason }: TriesSoFar): boolean => endedAtMs !== null && reason === null

const yetDiffers = ({ drift }: HostJudgement): string =>
  `${maxTries} tries succeeded, and yet: ${drift ?? 'it differs'}`

const triesThatCount = ({ soFar, desired, nowMs }: ConvergenceQuestion): TriesSoFar | undefined => {
  if (soFar === undefined || !isFor(soFar, desired)) return undefined
  const { endedAtMs } = soFar
  const isLongAgo = endedAtMs !== null && nowMs - endedAtMs >= forgetAfterMs
  return isLongAgo && succeeded(soFar) ? undefined : soFar
}

/** Whether to remember the tries at a host that is as it should be: it may not stay so. */
export const isWorthKeeping = (soFar: TriesSoFar, nowMs: number): boolean =>
  soFar.deployment !== null || (succeeded(soFar) && nowMs - (soFar.endedAtMs ?? nowMs) < forgetAfterMs)

/** A try begins. */
export const begun = (
  desired: Desired,
  { tries, deployment, servedNothing }: Pick<TriesSoFar, 'tries' | 'deployment' | 'servedNothing'>
): TriesSoFar => ({
  ...desired,
  tries,
  deployment,
  servedNothing,
  nextAtMs: null,
  endedAtMs: null,
  reason: null
})

export type TryEnd =
  | { kind: 'succeeded' }
  | { kind: 'failed'; reason: string }
  /** A deployment of the service came first: it does not count. */
  | { kind: 'preempted' }

export const ended = (soFar: TriesSoFar, end: TryEnd, atMs: number): TriesSoFar => {
  if (end.kind === 'preempted') return { ...soFar, deployment: null, tries: soFar.tries - 1 }
  const wait = backoffMs[soFar.tries - 1]
  return {
    ...soFar,
    deployment: null,
    endedAtMs: atMs,
    nextAtMs: wait === undefined ? null : atMs + wait,
    reason: end.kind === 'failed' ? end.reason : null
  }
}

export const isGivenUp = ({ tries, deployment, reason }: TriesSoFar): boolean =>
  tries >= maxTries && deployment === null && reason !== null

/** The agent is back: a host that was given up may have been repaired. It still waits as long as the longest wait. */
export const afterReturn = (soFar: TriesSoFar): TriesSoFar =>
  isGivenUp(soFar) ? { ...soFar, tries: 0, nextAtMs: (soFar.endedAtMs ?? 0) + Math.max(...backoffMs) } : soFar
