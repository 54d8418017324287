// Progress for logs: one line with a time per change, never redrawn. Pure: picture before + event -> lines.
// Pull bytes change all the time: at most one such line per host in ten seconds.
import type { DeploymentEvent, DeploymentView, ProgressView, TargetView } from '../api/schemas.ts'
import { foldEvent, type Picture } from './fold-event.ts'
import { formatBytes, formatDigest, formatText } from './format-values.ts'

const bytesEveryMs = 10_000

export type PlainState = {
  readonly picture: Picture | null
  /** Host -> its step that was last written, and when. */
  readonly written: Readonly<Record<string, { step: string; atMs: number }>>
}
export const emptyPlain: PlainState = { picture: null, written: {} }

/** @returns lines without time and line feed; the caller stamps them */
export function renderPlain(
  state: PlainState,
  event: DeploymentEvent,
  nowMs: number
): { state: PlainState; lines: string[] } {
  const before = state.picture
  const after = foldEvent(before, event)
  if (after === null) return { state, lines: [] }
  const lines = [...phaseLines(before, after, event), ...targetLines(before, after)]
  if (event.type === 'warning') lines.push(`warning: ${formatText(event.text)}`)
  if (event.type !== 'progress') return { state: { ...state, picture: after }, lines }

  const last = state.written[event.host]
  const isDue = last?.step !== stepOf(event.progress) || nowMs - last.atMs >= bytesEveryMs
  if (!isDue) return { state: { ...state, picture: after }, lines }
  const written = { ...state.written, [event.host]: { step: stepOf(event.progress), atMs: nowMs } }
  return {
    state: { picture: after, written },
    lines: [...lines, `${event.host}: ${describeProgress(event.progress)}`]
  }
}

/** `web in staging: 1.2.3 as release 8 (dep_...)` */
export function describeDeployment(deployment: DeploymentView): string {
  const { service, environment, release, tag, digest, what } = deployment
  const wanted = what.by === 'rollback' ? 'rollback' : (tag ?? formatDigest(digest))
  return `${service} in ${environment}: ${wanted} as release ${String(release)}`
}

/** `step 2 of 5, pull, 12 MB of 50 MB` */
export function describeProgress(progress: ProgressView): string {
  const parts = [`step ${String(progress.position)} of ${String(progress.total)}`, formatText(progress.step)]
  if (progress.bytes !== undefined) {
    parts.push(`${formatBytes(progress.bytes.done)} of ${formatBytes(progress.bytes.total)}`)
  }
  if (progress.detail !== undefined) parts.push(formatText(progress.detail))
  return parts.join(', ')
}

const stepOf = (progress: ProgressView): string => `${String(progress.position)} ${progress.step}`

function phaseLines(before: Picture | null, after: Picture, event: DeploymentEvent): string[] {
  const { deployment } = after
  const lines: string[] = []
  if (before === null) lines.push(`${describeDeployment(deployment)}, deployment ${deployment.id}`)
  if (deployment.digest !== null && before?.deployment.digest !== deployment.digest) {
    lines.push(`image ${formatText(deployment.repository)}@${deployment.digest}`)
  }
  if (deployment.isCancelRequested && before?.deployment.isCancelRequested === false)
    lines.push('cancel requested')
  const isChanged = before?.deployment.phase !== deployment.phase || before.batch !== after.batch
  if (isChanged && event.type !== 'ended' && deployment.phase !== 'ended') {
    lines.push(
      deployment.phase === 'rolling' && after.batch !== null
        ? `rolling, batch ${String(after.batch)}`
        : deployment.phase
    )
  }
  return lines
}

function targetLines(before: Picture | null, after: Picture): string[] {
  const known = new Map(before?.deployment.targets.map((target) => [target.host, target]))
  return after.deployment.targets.flatMap((target) => {
    const former: TargetView | undefined = known.get(target.host)
    const isChanged = former?.state !== target.state || former.reason !== target.reason
    // hosts that wait for their turn say nothing new
    if (!isChanged || (former === undefined && target.state === 'pending')) return []
    return [
      `${target.host}: ${target.state}${target.reason === undefined ? '' : `: ${formatText(target.reason)}`}`
    ]
  })
}
