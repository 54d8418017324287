// The way to the supervisor that started the controller, by the program of systemd for it: Node has no datagram sockets of
// AF_UNIX. Only where NOTIFY_SOCKET is set; it is taken out of the environment, so that no child speaks for it.
import { execFile } from 'node:child_process'
import { readSupervision, type TellerPorts } from '@longshore/protocol'

/** The program waits five seconds at most until the supervisor has read the message. */
const sendLimitMs = 10_000

/** @returns null without a supervisor */
export const openSupervisor = (
  environment: NodeJS.ProcessEnv
): Pick<TellerPorts, 'send' | 'signEveryMs'> | null => {
  const supervision = readSupervision(environment, process.pid)
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name]
  if (supervision === null) return null
  const env = { NOTIFY_SOCKET: supervision.socket, PATH: environment['PATH'] }
  // without --pid=: it would name a main process, and systemd knows which one it started
  const send = (lines: readonly string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      execFile('systemd-notify', lines, { env, timeout: sendLimitMs, killSignal: 'SIGKILL' }, (error) =>
        error === null ? resolve() : reject(error)
      )
    })
  return { send, signEveryMs: supervision.signEveryMs }
}
