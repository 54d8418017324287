// `--watch`: a list that stays true on the screen. It is asked for anew when the controller says that something
// happened, and now and then; a lost connection is said, and what is shown then is marked as possibly old.
import type { CliContext } from './cli-context.ts'
import { CliError, isPassing } from './cli-errors.ts'
import type { Client } from './client.ts'
import { pause, retryDelayMs } from './follow-deployment.ts'
import { formatText, formatTime } from './format-values.ts'
import { listenForEnd } from './listen-for-end.ts'
import { openLiveScreen } from './live-screen.ts'
import { changeLines, renderWatchFrame, type WatchState } from './render-watch.ts'
import { createColors } from './state-colors.ts'

/** Ages and figures of traffic change without an event. */
const refreshMs = 10_000
/** A storm of events asks for the list this often at most. */
const gapMs = 500
const frameEveryMs = 1000

export type Watched<T> = {
  /** What is watched, in the words of the command. */
  title: string
  load(client: Client, signal: AbortSignal): Promise<T[]>
  /** The whole, as the command prints it without `--watch`. */
  render(items: readonly T[]): string
  /** One line per thing that can change, by what it is of; without ages, which always change. */
  lines(items: readonly T[]): ReadonlyMap<string, string>
}

type View<T> = { show(items: readonly T[]): void; lost(why: string): void; end(): void }

/** Ends with the first signal. @throws what does not pass by itself: no permission, an unknown name */
export async function watchList<T>(context: CliContext, client: Client, list: Watched<T>): Promise<void> {
  const stopped = new AbortController()
  const stopListening = listenForEnd(context, () => stopped.abort())
  const view = context.stdout.isTerminal ? watchOnScreen(context, list) : watchInLines(context, list)
  try {
    await keepShowing(client, list, view, stopped.signal)
  } catch (error) {
    if (!stopped.signal.aborted) throw error
  } finally {
    stopListening()
    view.end()
  }
}

async function keepShowing<T>(
  client: Client,
  list: Watched<T>,
  view: View<T>,
  signal: AbortSignal
): Promise<never> {
  let failures = 0
  for (;;) {
    try {
      await showUntilLost(
        client,
        list,
        (items) => {
          failures = 0
          view.show(items)
        },
        signal
      )
    } catch (error) {
      signal.throwIfAborted()
      if (!isPassing(error)) throw error
      view.lost(error instanceof Error ? error.message : String(error))
    }
    await pause(retryDelayMs(failures), signal)
    failures += 1
  }
}

/** @throws always: when either the list or the events cannot be had any more */
async function showUntilLost<T>(
  client: Client,
  list: Watched<T>,
  show: (items: readonly T[]) => void,
  signal: AbortSignal
): Promise<never> {
  const round = new AbortController()
  const ended = AbortSignal.any([signal, round.signal])
  let happened = Promise.withResolvers<void>()
  const refresh = async (): Promise<never> => {
    for (;;) {
      happened = Promise.withResolvers()
      show(await list.load(client, ended))
      await waitFor(happened.promise, refreshMs, ended)
      await pause(gapMs, ended)
    }
  }
  const listen = async (): Promise<never> => {
    for await (const _ of client.events(ended)) happened.resolve()
    throw new CliError('connection-lost', 'the controller closed the stream')
  }
  const both = [refresh(), listen()]
  for (const one of both) one.catch(() => undefined)
  try {
    return await Promise.race(both)
  } finally {
    round.abort()
  }
}

/** Until it happened, or for so long. */
async function waitFor(event: Promise<void>, mostMs: number, signal: AbortSignal): Promise<void> {
  const waiting = new AbortController()
  const time = pause(mostMs, AbortSignal.any([signal, waiting.signal]))
  time.catch(() => undefined)
  await Promise.race([event, time])
  waiting.abort()
}

function watchOnScreen<T>(context: CliContext, list: Watched<T>): View<T> {
  const { stdout } = context
  const screen = openLiveScreen(stdout)
  const colors = createColors(stdout.hasColor)
  let state: WatchState = { text: null, shownAtMs: null, lost: null }
  let items: readonly T[] | null = null
  const draw = (): void => {
    // rendered again each time: ages go on
    state = { ...state, text: items === null ? null : list.render(items) }
    const size = { columns: stdout.columns(), rows: stdout.rows() - 1 }
    screen.draw(renderWatchFrame(list.title, state, { ...size, nowMs: context.nowMs(), colors }))
  }
  const timer = setInterval(draw, frameEveryMs)
  const stopResize = stdout.onResize(draw)
  draw()
  return {
    show: (shown) => {
      items = shown
      state = { ...state, shownAtMs: context.nowMs(), lost: null }
      draw()
    },
    lost: (why) => {
      state = { ...state, lost: why }
      draw()
    },
    end: () => {
      clearInterval(timer)
      stopResize()
      screen.close('frame')
    }
  }
}

function watchInLines<T>(context: CliContext, list: Watched<T>): View<T> {
  let before: ReadonlyMap<string, string> = new Map()
  let isLost = false
  const stamp = (): string => formatTime(context.nowMs())
  return {
    show: (items) => {
      const after = list.lines(items)
      for (const line of changeLines(before, after)) context.stdout.write(`${stamp()} ${formatText(line)}\n`)
      before = after
      if (isLost) context.stderr.write(`${stamp()} connected to the controller again\n`)
      isLost = false
    },
    lost: (why) => {
      if (!isLost) context.stderr.write(`${stamp()} ${formatText(why)}; trying again\n`)
      isLost = true
    },
    end: () => undefined
  }
}
