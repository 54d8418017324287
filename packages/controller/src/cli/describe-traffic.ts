// The words for traffic that HAProxy brings: what former containers still have, and how it came to the new ones. Pure.
import type { ProgressView, TargetView, TrafficView } from '../api/schemas.ts'
import { formatDuration } from './format-values.ts'

/** `draining: 3 requests, 12 upgraded`. */
export function describeDraining({ requests, upgraded }: NonNullable<ProgressView['connections']>): string {
  return `draining: ${counted(requests, 'request')}, ${String(upgraded)} upgraded`
}

/** `switched in 4 ms, gap 812 ms, drained in 1.9s, 2 connections closed`; empty where nothing was moved. */
export function describeTraffic({ traffic }: Pick<TargetView, 'traffic'>): string {
  if (traffic === undefined) return ''
  const { switchMs, gapMs, drainMs, closed } = traffic
  const count = closed.requests + closed.upgraded
  return [
    `switched in ${formatShort(switchMs)}`,
    ...(gapMs === null ? [] : [`gap ${formatShort(gapMs)}`]),
    ...(drainMs === null ? [] : [`drained in ${formatShort(drainMs)}`]),
    ...(count === 0 ? [] : [`${counted(count, 'connection')} closed`])
  ].join(', ')
}

/** `41 requests/s, 0.2 % errors`. */
export function describeLoad({ requestsPerSecond, errorRatio }: TrafficView): string {
  const rate = `${formatRate(requestsPerSecond)} requests/s`
  return errorRatio === null ? rate : `${rate}, ${formatShare(errorRatio)} errors`
}

/** A rate says how much, not how many: two digits are enough. */
const formatRate = (rate: number): string => (rate < 9.95 ? String(Number(rate.toFixed(1))) : rate.toFixed(0))

/** Not even one failed request in a million is shown as none. */
function formatShare(share: number): string {
  const percent = share * 100
  return percent > 0 && percent < 0.05 ? '<0.1 %' : `${String(Number(percent.toFixed(1)))} %`
}

const counted = (count: number, word: string): string => `${String(count)} ${word}${count === 1 ? '' : 's'}`

/** Below a second milliseconds count. */
const formatShort = (ms: number): string => (ms < 999.5 ? `${String(Math.round(ms))} ms` : formatDuration(ms))
