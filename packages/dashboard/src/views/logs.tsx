// Logs of a service: what is chosen stands in the address, the lines are in log-reader.
import { useState } from 'preact/hooks'
import { mayDo } from '../core/may-do.ts'
import { addressOf, type LogsRoute } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'
import { LogChoice } from './log-choice.tsx'
import type { LogLooks } from './log-lines.tsx'
import { LogReader } from './log-reader.tsx'

export const LogsPage = ({ route }: { route: LogsRoute }) => {
  const { session } = usePage()
  const [times, setTimes] = useState(0)
  const [looks, setLooks] = useState<LogLooks>({ isWrapped: true, hasTimes: false })
  const { environment, service, wish } = route
  const address = addressOf(route)
  const read = (chosen: LogsRoute): void => {
    const next = addressOf(chosen)
    if (next === address) setTimes((count) => count + 1)
    else location.hash = next
  }
  const isWhole = environment !== null && service !== null
  const isAllowed = isWhole && mayDo(session.allow, 'logs', environment, service)
  return (
    <>
      <h1>{isWhole ? `Logs of ${service} in ${environment}` : 'Logs'}</h1>
      <LogChoice route={route} read={read} />
      {isWhole && !isAllowed && (
        <p role="alert">
          This session may not read them: that takes the verb logs of {service} in {environment}.
        </p>
      )}
      {isAllowed && (
        <LogReader
          key={`${times} ${address}`}
          source={{ environment, service, wish }}
          looks={looks}
          setLooks={setLooks}
        />
      )}
    </>
  )
}
