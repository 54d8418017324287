// Which process is meant: a pid alone may have been given to another process since, pid and start time together
// cannot. Source: proc_pid_stat(5), field 22.
import { readFileSync } from 'node:fs'

export type ProcessIdentity = { pid: number; startTicks: string }

/** undefined: no such process, or only its zombie is left. */
export const identifyProcess = (pid: number): ProcessIdentity | undefined => {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field, the name in parentheses, may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, startTicks] = [fields[0], fields[19]]
  return state === 'Z' || startTicks === undefined ? undefined : { pid, startTicks }
}

export const isSameProcessAlive = (identity: ProcessIdentity): boolean =>
  identifyProcess(identity.pid)?.startTicks === identity.startTicks

/** Sends a signal to exactly this process; returns false when it is gone. */
export const signalProcess = (identity: ProcessIdentity, signal: NodeJS.Signals): boolean => {
  if (!isSameProcessAlive(identity)) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch {
    return false
  }
}
