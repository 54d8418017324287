// A moment, and how old it is.
import { describeAge } from '../core/describe-age.ts'
import { useEachSecond, usePage } from '../page-context.ts'

/** @param atMs by the controller's clock; null: never */
export const Ago = ({ atMs }: { atMs: number | null }) => {
  const { clockAheadMs } = usePage().known
  const text = useEachSecond(() => (atMs === null ? '' : describeAge(atMs, Date.now() + clockAheadMs)))
  if (atMs === null) return <span>never</span>
  const date = new Date(atMs)
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {text}
    </time>
  )
}
