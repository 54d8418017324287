// What health checks answered, in words. Pure.
import type { ProgressView } from '../api/schemas.ts'

/** `web-r2-0 attempt 3, 12 ms`; the answer itself is in the progress' own words. */
export function describeAttempts(health: NonNullable<ProgressView['health']>): string {
  const [first] = health
  if (first === undefined) return ''
  return `attempt ${String(first.attempt)}, ${String(first.tookMs)} ms`
}
