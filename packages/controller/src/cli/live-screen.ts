// Draws frames in place on a terminal: one write per frame, lines overwritten rather than erased first, so that
// nothing flickers. The cursor is hidden meanwhile and always comes back, also when the process ends early or is
// suspended.
import { stripVTControlCharacters } from 'node:util'
import type { Output } from './cli-context.ts'
import { widthOf } from './text-width.ts'

const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const clearToLineEnd = '\u001b[K'
const clearToScreenEnd = '\u001b[J'

export type LiveScreen = {
  draw(lines: readonly string[]): void
  /** Leaves the last frame on the screen, or clears it, and gives the cursor back. */
  close(keep: 'frame' | 'nothing'): void
}

export function openLiveScreen(output: Output): LiveScreen {
  let drawn: readonly string[] = []
  const restore = (): void => output.write(showCursor)
  // Ctrl-Z: the shell gets its cursor meanwhile, and what comes afterwards stands below
  const suspend = (): void => {
    restore()
    process.kill(process.pid, 'SIGSTOP')
    drawn = []
    output.write(hideCursor)
  }
  process.once('exit', restore)
  process.on('SIGTSTP', suspend)
  output.write(hideCursor)
  return {
    draw(lines) {
      const body = lines.map((line) => `${line}${clearToLineEnd}\n`).join('')
      output.write(upOver(drawn, output.columns()) + body + clearToScreenEnd)
      drawn = lines
    },
    close(keep) {
      if (keep === 'nothing') output.write(upOver(drawn, output.columns()) + clearToScreenEnd)
      process.off('exit', restore)
      process.off('SIGTSTP', suspend)
      restore()
    }
  }
}

/** Back to the first line of the last frame. A terminal that became narrower has wrapped its lines. */
export function upOver(lines: readonly string[], columns: number): string {
  const rows = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(columnsOf(line) / columns)), 0)
  return rows === 0 ? '' : `\u001b[${String(rows)}A\r`
}

const columnsOf = (line: string): number => widthOf(stripVTControlCharacters(line))
