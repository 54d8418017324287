// Which messages share a frame: as many as fit, in order. One that is large goes alone; whether it fits a frame
// at all is checked when it is signed.
import { maxBatchedChars, maxMessagesPerFrame } from '../limits.ts'

/** Groups of at most `maxMessagesPerFrame` messages and, where there are several, about `maxBatchedChars`. */
export const splitMessages = <M extends object>(messages: readonly M[]): M[][] => {
  // the usual case, without measuring
  if (messages.length <= 1) return messages.length === 0 ? [] : [[...messages]]
  const groups: M[][] = []
  let group: M[] = []
  let chars = 0
  for (const message of messages) {
    const more = JSON.stringify(message).length
    const isFull = group.length >= maxMessagesPerFrame || chars + more > maxBatchedChars
    if (group.length > 0 && isFull) {
      groups.push(group)
      group = []
      chars = 0
    }
    group.push(message)
    chars += more
  }
  groups.push(group)
  return groups
}
