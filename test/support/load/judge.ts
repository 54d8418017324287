// What the load's report must say of a replacement without loss. Nothing depends on how fast the machine is: a
// connection that outlived its grace may be cut, and a request that was asked longer ago than that may be, too.
import type { Test } from 'tap'
import { type Cut, type Failure, type LoadReport, serviceOf } from './report.ts'

/**
 * For how long, at least, the version at the other end had not been given anything new when the connection was cut;
 * 0: it was still being asked, or nobody knows who it was.
 */
const graceOf = ({ kind, version, atMs }: Cut, { versions }: LoadReport): number => {
  const lastAskedAtMs = version === null ? undefined : versions[version]?.lastAskedAtMs[serviceOf(kind)]
  return lastAskedAtMs === undefined ? 0 : Math.max(0, atMs - lastAskedAtMs)
}

/** Connections that were cut before their grace had passed. */
export const earlyCuts = (report: LoadReport, graceMs: number): Cut[] =>
  report.cuts.filter((cut) => graceOf(cut, report) < graceMs)

/** Requests that failed although they were asked within the grace. */
export const lostRequests = ({ failures }: LoadReport, graceMs: number): Failure[] =>
  failures.filter(({ askedAtMs, atMs }) => atMs - askedAtMs < graceMs)

export const describe = (report: LoadReport): string => {
  const kinds = Object.entries(report.kinds).map(
    ([kind, { answered, failed, p50Ms, p99Ms }]) =>
      `${kind} ${answered}${failed === 0 ? '' : ` (${failed} failed)`} p50 ${p50Ms} p99 ${p99Ms} ms`
  )
  const { answered, failed, forMs, cuts, sentAgain, longestGap } = report
  return [
    `${answered} answered, ${failed} failed in ${(forMs / 1000).toFixed(1)} s`,
    `${cuts.length} connections cut, ${sentAgain} streams sent again`,
    `longest time without an answer ${longestGap === null ? 0 : longestGap.toMs - longestGap.fromMs} ms`,
    ...kinds
  ].join('; ')
}

/** No request failed, no connection was cut before its grace, and every kind of client was there. */
export const expectNoLoss = (t: Test, report: LoadReport, graceMs: number): void => {
  t.comment(describe(report))
  t.strictSame(lostRequests(report, graceMs), [], 'no request failed')
  t.strictSame(earlyCuts(report, graceMs), [], 'no connection was cut before its grace')
  for (const [kind, { answered }] of Object.entries(report.kinds)) t.ok(answered > 0, `${kind} was there`)
}
