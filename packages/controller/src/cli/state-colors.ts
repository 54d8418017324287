// Which colour a state or an outcome has, on terminals only. Colour repeats what the word says, never more.
import pc from 'picocolors'
import type { Paint } from './render-table.ts'

export type Colors = ReturnType<typeof pc.createColors>
export const createColors = (isEnabled: boolean): Colors => pc.createColors(isEnabled)

const good = new Set([
  'released',
  'succeeded',
  'ready',
  'running',
  'connected',
  'active',
  'planned',
  'rehearsed',
  'removed'
])
const bad = new Set([
  'failed',
  'not-ready',
  'mixed',
  'refused',
  'unhealthy',
  'missing',
  'revoked',
  'stopped',
  'disabled'
])
const doubtful = new Set([
  'unknown',
  'reverted',
  'reverting',
  'cancelled',
  'silent',
  'held',
  'restarting',
  'starting',
  'paused'
])
const quiet = new Set(['pending', 'untouched', 'skipped', 'expired'])

export function colorState(colors: Colors, state: string, text: string = state): string {
  if (good.has(state)) return colors.green(text)
  if (bad.has(state)) return colors.red(text)
  if (doubtful.has(state)) return colors.yellow(text)
  return quiet.has(state) ? colors.dim(text) : text
}

/** Of a table: one column holds states. */
export const paintColumn =
  (colors: Colors, painted: number): Paint =>
  (padded, column, cell) =>
    column === painted ? colorState(colors, cell, padded) : padded
