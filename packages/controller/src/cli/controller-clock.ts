// What time is it at the controller? By its answers: ages and ends that it tells of are by its clock, and the own one may
// be another.

export type ControllerClock = {
  /** @param date of an answer that just came (RFC 9110, section 6.6.1), to the second */
  heard(date: string | undefined): void
  /** The own clock until an answer says otherwise. */
  nowMs(): number
}

/** Answers are on their way for a while; less than this is no other clock. */
const toleranceMs = 2000

export function createControllerClock(ownMs: () => number): ControllerClock {
  let aheadMs = 0
  return {
    heard(date) {
      const leastMs = Date.parse(date ?? '') - ownMs()
      const mostMs = leastMs + 1000
      if (aheadMs < leastMs - toleranceMs || aheadMs > mostMs + toleranceMs) aheadMs = leastMs + 500
    },
    nowMs: () => ownMs() + aheadMs
  }
}
