// The way to the logs of a service, for those who may read them.
import { defaultWish } from '../core/log-wish.ts'
import { mayDo } from '../core/may-do.ts'
import { addressOf } from '../core/read-route.ts'
import { usePage } from '../page-context.ts'

type Linked = { environment: string; service: string; host?: string }

export const LogsLink = ({ environment, service, host }: Linked) => {
  const { session } = usePage()
  if (!mayDo(session.allow, 'logs', environment, service)) return null
  const wish = { ...defaultWish, hosts: host === undefined ? [] : [host] }
  return (
    <a
      href={addressOf({ view: 'logs', environment, service, wish })}
      aria-label={`Logs of ${service} in ${environment}${host === undefined ? '' : ` on ${host}`}`}
    >
      Logs
    </a>
  )
}
