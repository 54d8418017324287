// How to wait for something in the world that sends no event: ask again and again, with a deadline and with
// words for what was awaited. Where an event exists (a line of output, an exit), wait for that instead.
import { setTimeout as pause } from 'node:timers/promises'

export class WaitedTooLong extends Error {
  override readonly name = 'WaitedTooLong'
  readonly code = 'waited-too-long'
}

/**
 * Asks `check` until it answers something other than undefined or false, and returns that.
 * @param what ends the sentence "waited in vain for ..."
 * @param check an error that it throws counts as "not yet"; the last one is the cause of WaitedTooLong
 */
export const waitUntil = async <T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  { deadlineMs = 60_000, intervalMs = 25 }: { deadlineMs?: number; intervalMs?: number } = {}
): Promise<T> => {
  const endMs = performance.now() + deadlineMs
  let lastError: unknown
  for (;;) {
    try {
      const answer = await check()
      if (answer !== undefined && answer !== false) return answer
    } catch (error) {
      lastError = error
    }
    if (performance.now() >= endMs) {
      throw new WaitedTooLong(`waited ${deadlineMs} ms in vain for ${what}`, { cause: lastError })
    }
    await pause(intervalMs)
  }
}
