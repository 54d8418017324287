// In-process publication: whoever listens gets every event from the moment it began to listen, in order.
// Bounds and formats are left to the listener.
import type { StreamEvent } from '../api/schemas.ts'
import type { Publisher } from '../ports.ts'

export type EventStream = Publisher & {
  /** @returns ends the listening */
  listen(listener: (event: StreamEvent) => void): () => void
}

export const createEventStream = (): EventStream => {
  const listeners = new Set<(event: StreamEvent) => void>()
  return {
    publish: (event) => {
      for (const listener of listeners) listener(event)
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    }
  }
}
