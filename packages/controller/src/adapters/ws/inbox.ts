// What waits of one session: its messages and the gateway's own work for it, one at a time, in order. Holds messages
// back until the session is admitted, and slows an agent down whose messages outrun the engine.
import type { Heard } from './hear-message.ts'

/** Messages that wait for the engine before the socket is read no further. */
const maxWaitingMessages = 256

export type Inbox = {
  /** Work of the gateway, after everything that was given before. */
  enqueue(work: () => Promise<void>): void
  receive(messages: readonly Heard[]): void
  /** The session counts from now on: what came before is handled too. */
  open(): void
  /** Resolves when all that was given until now is done. */
  idle(): Promise<void>
}

export type InboxPorts = {
  handle(message: Heard): Promise<void>
  /** Called in place of whatever follows from the work that failed; must not throw. */
  failed(error: unknown): void
  /** Reading of the socket. */
  pause(): void
  resume(): void
}

export const createInbox = ({ handle, failed, pause, resume }: InboxPorts): Inbox => {
  /** The socket is paused before admission, so these are few. */
  const early: Heard[] = []
  let isOpen = false
  let waiting = 0
  let last = Promise.resolve()

  const enqueue = (work: () => Promise<void>): void => {
    last = last.then(work).catch(failed)
  }
  const take = (message: Heard): void => {
    waiting += 1
    if (waiting > maxWaitingMessages) pause()
    enqueue(async () => {
      try {
        await handle(message)
      } finally {
        waiting -= 1
        if (waiting === 0) resume()
      }
    })
  }
  return {
    enqueue,
    receive: (messages) => {
      if (isOpen) for (const message of messages) take(message)
      else early.push(...messages)
    },
    open: () => {
      isOpen = true
      for (const message of early.splice(0)) take(message)
    },
    idle: () => last
  }
}
