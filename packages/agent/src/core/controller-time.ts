// What time it is at the controller, on a host whose clock may be wrong or may jump. A welcome gives one reading
// of the controller's clock; from then on the host's monotonic clock counts. Reading clocks is left to the caller.

/** One reading: the controller's time, and the host's monotonic clock when it arrived. */
export type TimeReading = { readonly controllerMs: number; readonly monotonicMs: number }

/** Late by the time that the reading travelled, so a deadline is never judged too early to have passed. */
export const controllerTimeAt = (reading: TimeReading, monotonicMs: number): number =>
  Math.round(reading.controllerMs + (monotonicMs - reading.monotonicMs))

/** Positive: the host's clock is ahead. */
export const hostSkewOf = (controllerMs: number, hostMs: number): number => hostMs - controllerMs

/** Above this a person is told: certificates and logs suffer long before the wire does. */
const notableSkewMs = 5_000

export const isNotableSkew = (skewMs: number): boolean => Math.abs(skewMs) >= notableSkewMs
