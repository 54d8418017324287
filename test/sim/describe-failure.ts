// A broken promise is said by its sentence; any other error is a fault of the code and needs its place.
import { Violation } from './invariants.ts'

export const describeFailure = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const first = error.cause ?? error
  return first instanceof Violation ? error.message : (error.stack ?? error.message)
}
