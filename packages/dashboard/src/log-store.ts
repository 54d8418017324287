// One log as the view shows it: its lines, how it is with the connection, and whether it is paused. Tells listeners at
// most once for each picture that the browser draws.
import {
  addEvents,
  addNotice,
  emptyBook,
  isFull,
  type LogBook,
  pauseBook,
  resumeBook
} from './core/log-book.ts'
import type { LogSource } from './core/log-wish.ts'
import { followLogs, type LogConnection } from './follow-logs.ts'

export type LogStore = {
  readonly book: LogBook
  readonly connection: LogConnection
  pause(): void
  resume(): void
  stop(): void
}

/** @param changed called before the next picture */
export const createLogStore = (source: LogSource, clockAheadMs: number, changed: () => void): LogStore => {
  let book = emptyBook
  let connection: LogConnection = { state: 'asking' }
  let frame: number | undefined
  let goOn: (() => void) | undefined
  const draw = (): void => {
    frame ??= requestAnimationFrame(() => {
      frame = undefined
      changed()
    })
  }
  const set = (next: LogBook): void => {
    book = next
    if (!isFull(book)) goOn?.()
    draw()
  }
  const follower = followLogs(source, clockAheadMs, {
    events: (events) => {
      if (events.length > 0) set(addEvents(book, events))
    },
    connection: (now) => {
      const wasLost = connection.state === 'lost'
      if (now.state === 'asking' && wasLost) return
      if (now.state === 'lost' && !wasLost) set(addNotice(book, `${now.reason}; trying again`))
      if (now.state === 'reading' && wasLost) set(addNotice(book, 'connected to the controller again'))
      connection = now
      draw()
    },
    room: () =>
      isFull(book)
        ? new Promise((resolve) => {
            goOn = resolve
          })
        : Promise.resolve()
  })
  return {
    get book() {
      return book
    },
    get connection() {
      return connection
    },
    pause: () => set(pauseBook(book)),
    resume: () => set(resumeBook(book)),
    stop: () => {
      follower.stop()
      goOn?.()
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }
}
