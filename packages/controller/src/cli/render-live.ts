// One frame of the live view: a head line and a line per host. Pure; live-screen.ts puts frames on the terminal.
import type { TargetView } from '../api/schemas.ts'
import type { Picture } from './fold-event.ts'
import { formatBytes, formatDuration, formatText, shorten } from './format-values.ts'
import { describeDeployment } from './render-plain.ts'
import { type Colors, colorState } from './state-colors.ts'

export type FrameOptions = {
  columns: number
  /** Most lines that a frame may have. */
  rows: number
  nowMs: number
  /** Counts frames; turns the spinner. */
  tick: number
  colors: Colors
  /** Box characters and symbols are available. */
  isUnicode: boolean
  notice: string | null
}

const barWidth = 20
const spinners = { unicode: [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'], ascii: [...'|/-\\'] }
const busy = new Set(['staging', 'releasing', 'reverting'])
/** Hosts that need eyes come first when there is no room for all. */
const urgency = [
  'failed',
  'unknown',
  'not-ready',
  'releasing',
  'reverting',
  'staging',
  'reverted',
  'ready',
  'pending'
]

/** @returns lines no wider than the terminal, coloured after cutting */
export function renderFrame(picture: Picture, options: FrameOptions): string[] {
  const { targets } = picture.deployment
  const hostWidth = Math.max(4, ...targets.map(({ host }) => host.length))
  const noticeLines =
    options.notice === null ? [] : [shorten(formatText(options.notice), options.columns - 1)]
  const room = Math.max(1, options.rows - 1 - noticeLines.length)
  const shown = targets.length <= room ? targets : mostUrgent(targets, room - 1)
  const hidden = targets.length - shown.length
  return [
    renderHead(picture, options),
    ...shown.map((target) => renderHost(target, hostWidth, options)),
    ...(hidden > 0 ? [shorten(`  and ${String(hidden)} more`, options.columns - 1)] : []),
    ...noticeLines.map((line) => options.colors.yellow(line))
  ]
}

function renderHead({ deployment, batch }: Picture, options: FrameOptions): string {
  const { targets } = deployment
  const done = targets.filter(({ state }) => state === 'released').length
  const phase =
    deployment.phase === 'rolling' && batch !== null
      ? `rolling, batch ${String(batch)}, ${String(done)} of ${String(targets.length)} done`
      : deployment.phase
  const cancel = deployment.isCancelRequested ? ', cancelling' : ''
  const elapsed = formatDuration((deployment.endedAtMs ?? options.nowMs) - deployment.requestedAtMs)
  const text = `${describeDeployment(deployment)}  ${phase}${cancel}  ${elapsed}`
  return options.colors.bold(shorten(text, options.columns - 1))
}

function renderHost(target: TargetView, hostWidth: number, options: FrameOptions): string {
  const mark = markOf(target, options)
  const head = `  ${target.host.padEnd(hostWidth)}  `
  const state = `${mark} ${target.state.padEnd(9)}`
  const rest = shorten(
    describeTarget(target, options),
    Math.max(0, options.columns - 1 - head.length - state.length - 2)
  )
  if (head.length + state.length >= options.columns) return shorten(head + state, options.columns - 1)
  return `${head}${colorState(options.colors, target.state, state)}${rest === '' ? '' : `  ${rest}`}`
}

function markOf(target: TargetView, { isUnicode, tick }: FrameOptions): string {
  const frames = isUnicode ? spinners.unicode : spinners.ascii
  if (busy.has(target.state)) return frames[tick % frames.length] ?? ' '
  if (target.state === 'released' || target.state === 'ready') return isUnicode ? '✔' : '+'
  if (target.state === 'failed' || target.state === 'not-ready') return isUnicode ? '✖' : 'x'
  if (target.state === 'unknown') return '?'
  if (target.state === 'reverted') return isUnicode ? '↺' : '<'
  return isUnicode ? '·' : '.'
}

function describeTarget(target: TargetView, options: FrameOptions): string {
  if (target.reason !== undefined) return formatText(target.reason)
  const { progress } = target
  if (progress === undefined || !busy.has(target.state)) return ''
  const step = `${String(progress.position)}/${String(progress.total)} ${formatText(progress.step)}`
  const parts = [step]
  if (progress.bytes !== undefined) parts.push(renderBar(progress.bytes, options.isUnicode))
  if (progress.detail !== undefined) parts.push(formatText(progress.detail))
  return parts.join('  ')
}

/** `██████░░░░  30 %  12 MB of 40 MB`; a total of 0 means that nobody knows it yet. */
export function renderBar(bytes: { done: number; total: number }, isUnicode: boolean): string {
  if (bytes.total <= 0) return formatBytes(bytes.done)
  const share = Math.min(1, Math.max(0, bytes.done / bytes.total))
  const filled = Math.floor(share * barWidth)
  const [full, empty] = isUnicode ? ['█', '░'] : ['#', '.']
  const percent = String(Math.floor(share * 100)).padStart(3)
  return `${full.repeat(filled)}${empty.repeat(barWidth - filled)} ${percent} %  ${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`
}

/** The most urgent ones, in their own order. */
function mostUrgent(targets: readonly TargetView[], count: number): TargetView[] {
  const rank = (target: TargetView): number => {
    const found = urgency.indexOf(target.state)
    return found === -1 ? urgency.length : found
  }
  const chosen = new Set([...targets].sort((a, b) => rank(a) - rank(b)).slice(0, count))
  return targets.filter((target) => chosen.has(target))
}
