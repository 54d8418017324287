// What a supervisor (systemd, Type=notify) is told of a process, as lines of sd_notify(3): decided from how the
// process stands and what was told before. When and by which means is left to the caller.

export type Standing = {
  phase: 'starting' | 'ready' | 'stopping'
  /** One sentence for `systemctl status`. */
  status: string
  /** While starting: it may be silent for so long from now. */
  startsWithinMs?: number
}
export type Supervision = {
  socket: string
  /** So often a sign of life is due; null: the supervisor does not watch. */
  signEveryMs: number | null
}

/** Of the supervisor's limit: two signs may be late or lost. */
const signsPerLimit = 3
/** What `systemctl status` shows on a line or two. */
const maxStatusLength = 300

/**
 * Reads what the supervisor put into the environment.
 * @param pid of this process: WATCHDOG_PID may mean another one
 * @returns null when there is no supervisor to tell
 */
export const readSupervision = (
  environment: Readonly<Record<string, string | undefined>>,
  pid: number
): Supervision | null => {
  const socket = environment['NOTIFY_SOCKET']
  if (socket === undefined || socket === '') return null
  const isMeant = [undefined, '', String(pid)].includes(environment['WATCHDOG_PID'])
  const limitMs = Number(environment['WATCHDOG_USEC']) / 1000
  const isWatched = isMeant && Number.isFinite(limitMs) && limitMs > 0
  return { socket, signEveryMs: isWatched ? Math.max(1, Math.floor(limitMs / signsPerLimit)) : null }
}

/**
 * @param told null: nothing yet
 * @param isProven the process has shown since the last sign that its work goes on
 * @returns no line when there is nothing new
 */
export const wordSigns = (standing: Standing, told: Standing | null, isProven: boolean): string[] => {
  const { phase, startsWithinMs = 0 } = standing
  const status = wordStatus(standing.status)
  const lines: string[] = []
  if (phase === 'starting' && startsWithinMs > 0)
    lines.push(`EXTEND_TIMEOUT_USEC=${Math.ceil(startsWithinMs * 1000)}`)
  if (phase !== 'starting' && phase !== told?.phase) lines.push(phase === 'ready' ? 'READY=1' : 'STOPPING=1')
  if (told === null || status !== wordStatus(told.status)) lines.push(`STATUS=${status}`)
  if (isProven && phase === 'ready') lines.push('WATCHDOG=1')
  return lines
}

/** A line break would begin another assignment, which the supervisor obeys. */
const wordStatus = (status: string): string =>
  status
    .replaceAll(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, maxStatusLength)
