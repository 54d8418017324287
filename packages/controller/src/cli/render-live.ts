// One frame of the live view: a head line and a line per host. Pure; live-screen.ts puts frames on the terminal.
import type { TargetView } from '../api/schemas.ts'
import { describeDeployment, describePause, describePhase, nameOf } from './describe-deployment.ts'
import { describeAttempts } from './describe-health.ts'
import { describeDraining, describeTraffic } from './describe-traffic.ts'
import type { Picture } from './fold-event.ts'
import { formatBytes, formatDuration, formatText, shorten } from './format-values.ts'
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
const busy = new Set(['planning', 'staging', 'rehearsing', 'releasing', 'removing', 'reverting'])
const done = new Set(['planned', 'rehearsed', 'released', 'removed'])
/** Hosts that need eyes come first when there is no room for all. */
const urgency = [
  'failed',
  'unknown',
  'not-ready',
  'releasing',
  'removing',
  'rehearsing',
  'reverting',
  'staging',
  'planning',
  'reverted',
  'ready',
  'pending'
]

/** @returns lines no wider than the terminal, coloured after cutting */
export function renderFrame(picture: Picture, options: FrameOptions): string[] {
  const { deployment } = picture
  const { targets } = deployment
  const names = new Map(targets.map((target) => [target, nameOf(deployment, target)]))
  const nameWidth = Math.max(4, ...[...names.values()].map((name) => name.length))
  const noticeLines = [...outputOf(picture), ...describePause(deployment), ...noticeOf(options)].map((line) =>
    shorten(line, options.columns - 1)
  )
  const room = Math.max(1, options.rows - 1 - noticeLines.length)
  const shown = targets.length <= room ? targets : mostUrgent(targets, room - 1)
  const hidden = targets.length - shown.length
  return [
    renderHead(picture, options),
    ...shown.map((target) => renderHost(target, (names.get(target) ?? '').padEnd(nameWidth), options)),
    ...(hidden > 0 ? [shorten(`  and ${String(hidden)} more`, options.columns - 1)] : []),
    ...noticeLines.map((line) => options.colors.yellow(line))
  ]
}

const noticeOf = ({ notice }: FrameOptions): string[] => (notice === null ? [] : [formatText(notice)])

/** The release command is alive. */
const outputOf = ({ deployment, output }: Picture): string[] =>
  deployment.phase === 'preparing' && output !== null ? [`  | ${formatText(output)}`] : []

function renderHead(picture: Picture, options: FrameOptions): string {
  const { deployment, batch } = picture
  const { targets } = deployment
  const ready = targets.filter(({ state }) => done.has(state)).length
  const isCounted = deployment.phase === 'rolling' && batch !== null
  const phase = `${describePhase(picture)}${isCounted ? `, ${String(ready)} of ${String(targets.length)} done` : ''}`
  const cancel = deployment.isCancelRequested ? ', cancelling' : ''
  const elapsed = formatDuration((deployment.endedAtMs ?? options.nowMs) - deployment.requestedAtMs)
  const text = `${describeDeployment(deployment)}  ${phase}${cancel}  ${elapsed}`
  return options.colors.bold(shorten(text, options.columns - 1))
}

function renderHost(target: TargetView, name: string, options: FrameOptions): string {
  const mark = markOf(target, options)
  const head = `  ${name}  `
  const state = `${mark} ${target.state.padEnd(10)}`
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
  if (done.has(target.state) || target.state === 'ready') return isUnicode ? '✔' : '+'
  if (target.state === 'failed' || target.state === 'not-ready') return isUnicode ? '✖' : 'x'
  if (target.state === 'unknown') return '?'
  if (target.state === 'reverted') return isUnicode ? '↺' : '<'
  return isUnicode ? '·' : '.'
}

function describeTarget(target: TargetView, options: FrameOptions): string {
  if (target.reason !== undefined) return formatText(target.reason)
  if (target.traffic !== undefined) return describeTraffic(target)
  const { progress } = target
  if (progress === undefined || !busy.has(target.state)) return ''
  const step = `${String(progress.position)}/${String(progress.total)} ${formatText(progress.step)}`
  const parts = [step]
  if (progress.bytes !== undefined) parts.push(renderBar(progress.bytes, options.isUnicode))
  if (progress.connections !== undefined) parts.push(describeDraining(progress.connections))
  if (progress.detail !== undefined) parts.push(formatText(progress.detail))
  if (progress.health !== undefined) parts.push(describeAttempts(progress.health))
  return parts.filter(Boolean).join('  ')
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
