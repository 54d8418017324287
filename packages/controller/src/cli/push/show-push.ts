// How a push is seen while it goes on: one line with a bar on a terminal, a line per event in a log.
import type { CliContext } from '../cli-context.ts'
import { formatBytes, formatDigest, formatText, formatTime } from '../format-values.ts'
import { openLiveScreen } from '../live-screen.ts'
import type { Blob } from './choose-image.ts'
import type { PushWatcher } from './send-image.ts'

const drawEveryMs = 120

export type PushShow = { watcher: PushWatcher; note(text: string): void; end(): void }

export const showPush = (context: CliContext): PushShow =>
  context.stderr.isTerminal ? showLive(context) : showLines(context)

const sizeOf = (blobs: readonly Blob[]): number => blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

export const describePlan = (missing: readonly Blob[], all: readonly Blob[]): string =>
  missing.length === 0
    ? `all ${all.length} blobs are there already`
    : `${missing.length} of ${all.length} blobs have to be sent, ${formatBytes(sizeOf(missing))}`

const showLines = (context: CliContext): PushShow => {
  const note = (text: string): void =>
    context.stderr.write(`${formatTime(context.nowMs())} ${formatText(text)}\n`)
  return {
    watcher: {
      planned: (missing, all) => note(describePlan(missing, all)),
      moved: () => {},
      stored: ({ digest, sizeBytes }) => note(`sent ${formatDigest(digest)}, ${formatBytes(sizeBytes)}`),
      interrupted: (error) => note(`interrupted, going on: ${error.message}`)
    },
    note,
    end: () => {}
  }
}

const showLive = (context: CliContext): PushShow => {
  const screen = openLiveScreen(context.stderr)
  const gone = new Map<string, number>()
  let planned = { bytes: 0, count: 0 }
  let stored = 0
  let note = ''
  let drawnAtMs = 0
  let isOver = false
  const draw = (isForced: boolean): void => {
    const nowMs = performance.now()
    if (!isForced && nowMs - drawnAtMs < drawEveryMs) return
    drawnAtMs = nowMs
    const bytes = [...gone.values()].reduce((sum, each) => sum + each, 0)
    const progress = { bytes, ofBytes: planned.bytes, stored, ofBlobs: planned.count, note }
    screen.draw([renderPush(progress, context.stderr.columns())])
  }
  return {
    watcher: {
      planned: (missing, all) => {
        planned = { bytes: sizeOf(missing), count: missing.length }
        note = describePlan(missing, all)
        draw(true)
      },
      moved: ({ digest }, bytes) => {
        gone.set(digest, bytes)
        note = ''
        draw(false)
      },
      stored: () => {
        stored += 1
        draw(true)
      },
      interrupted: (error) => {
        note = `interrupted, going on: ${formatText(error.message)}`
        draw(true)
      }
    },
    note: (text) => {
      note = formatText(text)
      draw(true)
    },
    end: () => {
      if (isOver) return
      isOver = true
      screen.close('nothing')
    }
  }
}

const barWidth = 30

/** One line that fits: the bar goes first when there is no room. */
export const renderPush = (
  progress: { bytes: number; ofBytes: number; stored: number; ofBlobs: number; note: string },
  columns: number
): string => {
  const { bytes, ofBytes, stored, ofBlobs, note } = progress
  if (note !== '' || ofBytes === 0) return note.slice(0, columns - 1)
  const filled = Math.min(barWidth, Math.floor((bytes / ofBytes) * barWidth))
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}] `
  const text = `${formatBytes(bytes)} of ${formatBytes(ofBytes)}, ${stored} of ${ofBlobs} blobs`
  return (bar.length + text.length < columns ? bar + text : text).slice(0, columns - 1)
}
