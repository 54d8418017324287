// Notices that HAProxy went away or began anew, says so, and has it brought back: at once when its socket closes, and
// by a look every few seconds; after a failure later and later.
import type { ProxyState } from '@longshore/protocol'
import type { ProxyIdentity } from '../../core/proxy/answers.ts'
import type { Clock } from '../../ports.ts'
import type { ProxyFiles } from './files.ts'
import type { ProxyLog } from './proxy.ts'
import { watchSocket } from './socket.ts'

export type ProxyWatch = {
  state(): ProxyState
  /** @param isNew another worker, which may have the number of the former one in another PID namespace */
  sawRunning(identity: ProxyIdentity, isNew?: boolean): void
  sawDown(detail: string): void
  begin(): void
  stop(): void
}

type WatchParts = {
  files: ProxyFiles
  clock: Clock
  log: ProxyLog
  isNeeded: () => boolean
  repair: () => Promise<void>
  tellAll: () => void
}

const lookEveryMs = 5_000
const firstRetryMs = 250
const maxRetryMs = 30_000
/** Characters of a state's detail on the wire. */
const maxDetailChars = 300

export const watchProxy = ({ files, clock, log, isNeeded, repair, tellAll }: WatchParts): ProxyWatch => {
  let state: ProxyState = { state: 'down', version: null, detail: 'not started: no service needs it' }
  let pid: number | undefined
  let failures = 0
  let isStopped = false
  let isLooking = false
  let cancel = (): void => {}
  let closeSocket = (): void => {}

  const lookIn = (delayMs: number): void => {
    cancel()
    if (!isStopped) cancel = clock.after(delayMs, () => void lookNow())
  }
  const lookNow = async (): Promise<void> => {
    if (isLooking || isStopped) return
    isLooking = true
    try {
      if (isNeeded()) await repair()
      failures = 0
    } catch (error) {
      failures += 1
      const detail = error instanceof Error ? error.message : String(error)
      if (state.detail !== detail.slice(0, maxDetailChars))
        log.error({}, `HAProxy is not as it should be: ${detail}`)
      if (state.state === 'down') state = { ...state, detail: detail.slice(0, maxDetailChars) }
    } finally {
      isLooking = false
    }
    lookIn(failures === 0 ? lookEveryMs : Math.min(maxRetryMs, firstRetryMs * 2 ** failures))
  }

  return {
    state: () => state,
    sawRunning: (identity, isNew = false) => {
      const wasDown = state.state === 'down' && state.version !== null
      const isOther = isNew || pid !== identity.pid
      pid = identity.pid
      state = { state: 'running', version: identity.version.slice(0, 64), detail: '' }
      if (!isOther) return
      closeSocket()
      closeSocket = isStopped ? closeSocket : watchSocket(files.admin, () => lookIn(0))
      if (wasDown) log.warn({ version: identity.version }, 'HAProxy runs again')
      tellAll()
    },
    sawDown: (detail) => {
      if (state.state === 'down') return
      state = { ...state, state: 'down', detail }
      pid = undefined
      log.error({}, 'HAProxy went away; it is started again')
      tellAll()
    },
    begin: () => lookIn(0),
    stop: () => {
      isStopped = true
      cancel()
      closeSocket()
    }
  }
}
