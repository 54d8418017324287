// What of one log stream may be sent now? The receiver grants bytes, entries wait in a queue that is bounded, and what
// finds no room in it is counted and told as soon as there is. Pure: `take` gives what the grant covers, in order.
import { type LogEntry, limits, logCostOf } from '@longshore/protocol'

export type EntryQueue = {
  readonly entries: readonly LogEntry[]
  /** Cost of the entries. */
  readonly bytes: number
  /** What may still be sent. */
  readonly grantedBytes: number
  /** By container: how many lines were left out since the last word on them; null: not counted. */
  readonly leftOut: ReadonlyMap<string, number | null>
}

export const emptyQueue = (grantedBytes: number): EntryQueue => ({
  entries: [],
  bytes: 0,
  grantedBytes,
  leftOut: new Map()
})

export const granted = (queue: EntryQueue, bytes: number): EntryQueue => ({
  ...queue,
  grantedBytes: queue.grantedBytes + bytes
})

/** Whether one more line of any length is taken. */
export const hasRoom = ({ bytes }: EntryQueue): boolean => bytes < limits.maxLogQueueBytes

/** After lines were left out they are told of first; then there is room again only when half of the queue is. */
export const hasCaughtUp = ({ bytes }: EntryQueue): boolean => bytes <= limits.maxLogQueueBytes / 2

/** A line without room is counted; anything else is few, and taken. */
export const queued = (queue: EntryQueue, entry: LogEntry): EntryQueue => {
  if (entry.kind === 'line' && !hasRoom(queue)) return leftOut(queue, entry.container, 1)
  const told = 'container' in entry ? tellLeftOut(queue, entry.container) : queue
  return append(told, entry)
}

/** @param lines null: not counted */
export const leftOut = (queue: EntryQueue, container: string, lines: number | null): EntryQueue => {
  if (lines === 0) return queue
  const before = queue.leftOut.get(container)
  const sum = before === null || lines === null ? null : (before ?? 0) + lines
  return { ...queue, leftOut: new Map(queue.leftOut).set(container, sum) }
}

/** Of every container, once there is room: they are told although nothing else follows. */
export const tellAllLeftOut = (queue: EntryQueue): EntryQueue =>
  [...queue.leftOut.keys()].reduce(tellLeftOut, queue)

const tellLeftOut = (queue: EntryQueue, container: string): EntryQueue => {
  const lines = queue.leftOut.get(container)
  if (lines === undefined) return queue
  const others = new Map(queue.leftOut)
  others.delete(container)
  return append({ ...queue, leftOut: others }, { kind: 'left-out', container, lines })
}

const append = (queue: EntryQueue, entry: LogEntry): EntryQueue => ({
  ...queue,
  entries: [...queue.entries, entry],
  bytes: queue.bytes + logCostOf(entry)
})

/**
 * The first entries that fit into the grant and into one message.
 * @returns none: nothing waits, or the next one is not covered
 */
export const taken = (queue: EntryQueue): { queue: EntryQueue; entries: LogEntry[] } => {
  const most = Math.min(queue.grantedBytes, limits.maxLogMessageBytes)
  let bytes = 0
  let count = 0
  for (const entry of queue.entries.slice(0, limits.maxLogEntriesPerMessage)) {
    const cost = logCostOf(entry)
    if (bytes + cost > most) break
    bytes += cost
    count += 1
  }
  const rest = {
    ...queue,
    entries: queue.entries.slice(count),
    bytes: queue.bytes - bytes,
    grantedBytes: queue.grantedBytes - bytes
  }
  return { queue: rest, entries: queue.entries.slice(0, count) }
}
