// In-process publication: whoever listens gets every event from the moment it began to listen, in order. The latest
// are kept for a while, so that a listener whose connection broke goes on where it was. Bounds of a connection and
// formats are left to the listener.
import type { StreamEvent } from '../api/schemas.ts'
import type { Publisher } from '../ports.ts'

/** Minutes of a busy fleet; a listener that was away for longer asks how things are. */
const maxKeptBytes = 16 * 1024 * 1024

export type EventStream = Publisher & {
  /** Of the event published last, as `listen` and `since` take it. */
  readonly lastId: string
  /** @returns ends the listening */
  listen(listener: (event: StreamEvent, id: string) => void): () => void
  /** What came after that event; undefined: it is not known any more, or never was. */
  since(id: string): { event: StreamEvent; id: string }[] | undefined
}

/** @param name of this run of the controller: ids of another one are not its own */
export const createEventStream = (name: string): EventStream => {
  const listeners = new Set<(event: StreamEvent, id: string) => void>()
  const kept: { event: StreamEvent; id: string }[] = []
  let keptBytes = 0
  let count = 0
  const idOf = (number: number): string => `${name}-${number}`
  return {
    get lastId() {
      return idOf(count)
    },
    publish: (event) => {
      count += 1
      const id = idOf(count)
      kept.push({ event, id })
      keptBytes += roughBytes(event)
      while (keptBytes > maxKeptBytes) {
        const oldest = kept.shift()
        if (oldest === undefined) break
        keptBytes -= roughBytes(oldest.event)
      }
      for (const listener of listeners) listener(event, id)
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },
    since: (id) => {
      if (id === idOf(count)) return []
      const at = kept.findIndex((one) => one.id === id)
      return at < 0 ? undefined : kept.slice(at + 1)
    }
  }
}

/** About what an event takes; only those of whole deployments and hosts are large. */
const roughBytes = (event: StreamEvent): number => {
  if (event.type === 'deployment' || event.type === 'ended')
    return 1000 + 500 * event.deployment.targets.length
  return event.type === 'agent' ? 4000 : 500
}
