// Amounts for people: bytes with binary units, shares in percent, sizes of batches.
import type { ServicePart } from '@longshore/controller/api'

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export const showBytes = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const amount = bytes / 1024 ** power
  return `${amount >= 100 || power === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`
}

/** @returns null when the whole is not known */
export const showShare = (part: number | null, whole: number | null): string | null =>
  part === null || whole === null || whole === 0 ? null : `${Math.round((100 * part) / whole)} %`

type Pace = NonNullable<ServicePart['rollout']>

const showSize = ({ unit, value }: Pace['parallelism']): string =>
  unit === 'percent' ? `${value} %` : String(value)

/** @returns `first 1, then 10 % at a time` */
export const showPace = ({ canary, parallelism }: Pace): string => {
  const isAll = parallelism.unit === 'count' && parallelism.value === 0
  const others = isAll ? 'all at once' : `${showSize(parallelism)} at a time`
  return canary === null ? others : `first ${showSize(canary)}, then ${others}`
}
