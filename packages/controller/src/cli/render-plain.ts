// Progress for logs: one line with a time per change, never redrawn. Pure: picture before + event -> lines.
// Pull bytes change all the time: at most one such line per host in ten seconds.
import type { DeploymentEvent, ProgressView, TargetView } from '../api/schemas.ts'
import { describeDeployment, describePause, describePhase, nameOf } from './describe-deployment.ts'
import { describeAttempts } from './describe-health.ts'
import { describeDraining, describeTraffic } from './describe-traffic.ts'
import { foldEvent, isSame, type Picture } from './fold-event.ts'
import { formatBytes, formatText } from './format-values.ts'

const bytesEveryMs = 10_000

export type PlainState = {
  readonly picture: Picture | null
  /** Target -> its step that was last written, and when. */
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
  const { deployment } = after
  const lines = [...phaseLines(before, after, event), ...targetLines(before, after)]
  if (event.type === 'warning') lines.push(`warning: ${formatText(event.text)}`)
  if (event.type === 'log') {
    lines.push(...event.lines.map((line) => `${nameOf(deployment, event)} | ${formatText(line)}`))
  }
  if (event.type !== 'progress') return { state: { ...state, picture: after }, lines }

  const name = nameOf(deployment, { service: event.service ?? deployment.service, host: event.host })
  const last = state.written[name]
  const isDue = last?.step !== stepOf(event.progress) || nowMs - last.atMs >= bytesEveryMs
  if (!isDue) return { state: { ...state, picture: after }, lines }
  const written = { ...state.written, [name]: { step: stepOf(event.progress), atMs: nowMs } }
  return {
    state: { picture: after, written },
    lines: [...lines, `${name}: ${describeProgress(event.progress)}`]
  }
}

/** `step 2 of 5, pull, 12 MB of 50 MB` */
export function describeProgress(progress: ProgressView): string {
  const parts = [`step ${String(progress.position)} of ${String(progress.total)}`, formatText(progress.step)]
  if (progress.bytes !== undefined) {
    parts.push(`${formatBytes(progress.bytes.done)} of ${formatBytes(progress.bytes.total)}`)
  }
  if (progress.connections !== undefined) parts.push(describeDraining(progress.connections))
  if (progress.detail !== undefined) parts.push(formatText(progress.detail))
  if (progress.health !== undefined) parts.push(describeAttempts(progress.health))
  return parts.filter(Boolean).join(', ')
}

const stepOf = (progress: ProgressView): string => `${String(progress.position)} ${progress.step}`

function phaseLines(before: Picture | null, after: Picture, event: DeploymentEvent): string[] {
  const { deployment } = after
  const lines: string[] = []
  if (before === null) lines.push(`${describeDeployment(deployment)}, deployment ${deployment.id}`)
  for (const { service, repository, digest } of deployment.services) {
    const former = before?.deployment.services.find((part) => part.service === service)
    if (digest !== null && former?.digest !== digest) lines.push(`image ${formatText(repository)}@${digest}`)
  }
  if (deployment.isCancelRequested && before?.deployment.isCancelRequested === false)
    lines.push('cancel requested')
  if (event.type === 'ended' || deployment.phase === 'ended') return lines
  const phase = describePhase(after)
  if (before === null || describePhase(before) !== phase) lines.push(phase)
  const told = before === null ? [] : describePause(before.deployment)
  return [...lines, ...describePause(deployment).filter((line) => !told.includes(line))]
}

function targetLines(before: Picture | null, after: Picture): string[] {
  const { deployment } = after
  return deployment.targets.flatMap((target) => {
    const former: TargetView | undefined = before?.deployment.targets.find((one) => isSame(one, target))
    const isChanged = former?.state !== target.state || former.reason !== target.reason
    // hosts that wait for their turn say nothing new
    if (!isChanged || (former === undefined && target.state === 'pending')) return []
    const said = target.reason === undefined ? describeTraffic(target) : formatText(target.reason)
    const reason = said === '' ? '' : `: ${said}`
    return [`${nameOf(deployment, target)}: ${target.state}${reason}`]
  })
}
