// The ways in which a wait is shown: live on a terminal, lines in a log, one JSON object a line, or only notices.
// Chooses and connects; what the text looks like is in the render files.
import type { CliContext } from './cli-context.ts'
import { foldEvent, type Picture } from './fold-event.ts'
import type { Watcher } from './follow-deployment.ts'
import { formatText, formatTime } from './format-values.ts'
import { openLiveScreen } from './live-screen.ts'
import type { OutputFormat } from './output-format.ts'
import { renderFrame } from './render-live.ts'
import { emptyPlain, renderPlain } from './render-plain.ts'
import { createColors } from './state-colors.ts'

const frameEveryMs = 120

/** @param isDetached nothing but notices will come */
export function createWatcher(context: CliContext, format: OutputFormat, isDetached: boolean): Watcher {
  if (format === 'ndjson') return watchAsJson(context)
  return context.stderr.isTerminal && !isDetached ? watchLive(context) : watchPlain(context)
}

function stamp(context: CliContext, text: string): void {
  context.stderr.write(`${formatTime(context.nowMs())} ${text}\n`)
}

function watchPlain(context: CliContext): Watcher {
  let state = emptyPlain
  return {
    event(event) {
      const rendered = renderPlain(state, event, context.nowMs())
      state = rendered.state
      for (const line of rendered.lines) stamp(context, line)
    },
    unread: () => undefined,
    ...stampNotices(context),
    end: () => undefined
  }
}

const stampNotices = (context: CliContext): Pick<Watcher, 'notice' | 'remark'> => ({
  notice: (text) => stamp(context, formatText(text)),
  remark: (text) => stamp(context, formatText(text))
})

/** Events go to stdout as they came; the caller adds the last line, the result. */
function watchAsJson(context: CliContext): Watcher {
  return {
    event: (event) => context.stdout.write(`${JSON.stringify(event)}\n`),
    unread: (event) => context.stdout.write(`${JSON.stringify(event)}\n`),
    ...stampNotices(context),
    end: () => undefined
  }
}

function watchLive(context: CliContext): Watcher {
  const screen = openLiveScreen(context.stderr)
  const colors = createColors(context.stderr.hasColor)
  const isUnicode = hasUnicode(context.env)
  let picture: Picture | null = null
  let notice: string | null = null
  const remarks: string[] = []
  let tick = 0
  // the controller's clock against this one; what it says is never ahead of its own time
  let aheadMs = Number.NEGATIVE_INFINITY
  const draw = (): void => {
    const { stderr } = context
    const size = { columns: stderr.columns(), rows: stderr.rows() - 1 }
    const nowMs = context.nowMs() + (Number.isFinite(aheadMs) ? aheadMs : 0)
    const options = { ...size, nowMs, tick, colors, isUnicode, notice }
    if (picture !== null) screen.draw(renderFrame(picture, options))
    else if (notice !== null) screen.draw([formatText(notice)])
  }
  const timer = setInterval(() => {
    tick += 1
    draw()
  }, frameEveryMs)
  const stopResize = context.stderr.onResize(draw)
  return {
    event(event) {
      aheadMs = Math.max(aheadMs, Date.parse(event.at) - context.nowMs())
      picture = foldEvent(picture, event)
      if (event.type === 'ended') draw()
    },
    unread: () => undefined,
    notice(text) {
      notice = text
      draw()
    },
    remark(text) {
      remarks.push(formatText(text))
      notice = text
      draw()
    },
    end() {
      clearInterval(timer)
      stopResize()
      draw()
      // the final table says it all, where it is seen
      screen.close(context.stdout.isTerminal ? 'nothing' : 'frame')
      for (const text of remarks) context.stderr.write(`${text}\n`)
    }
  }
}

const hasUnicode = (env: CliContext['env']): boolean =>
  /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '')
