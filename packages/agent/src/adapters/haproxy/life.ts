// Who runs HAProxy, and how it is started, told to read its configuration anew, and replaced. Three ways: a process
// of the agent's own making that outlives it, a unit of systemd, a container (container.ts).
import type { ProxyIdentity } from '../../core/proxy/answers.ts'
import { ProxyError } from '../../proxy-error.ts'
import { listStarts, type ProxyFiles, stampOf } from './files.ts'
import { findByConfig, isAlive, parentOf } from './processes.ts'
import { checkConfig, findProgram, programVersion, startProgram, workerAccount } from './program.ts'
import { removeIfDead } from './socket.ts'

export type ProxyLife = {
  /** Of what a start would run. Rejects with `proxy-missing`. */
  version(): Promise<string>
  /** As far as it is known without fetching anything. Rejects with `proxy-missing`. */
  look(): Promise<void>
  /** Whether a start would run what runs. */
  isCurrent(running: ProxyIdentity): Promise<boolean>
  /** Rejects with HAProxy's own words about the file. */
  check(configPath: string): Promise<void>
  /**
   * Starts one. `isBeside`: another one of ours runs, whose listening sockets it takes over.
   * @returns which start it is: its master has the socket of that number
   */
  start(how: { isBeside: boolean }): Promise<number>
  /** Reads the configuration anew; connections stay with the former worker. */
  reload(masterPid: number): Promise<void>
  /** Ends all of ours that run beside the one in use, gently: they take no new connections. */
  endOthers(current: { masterPid: number | null; workerPid: number }): Promise<number>
  /** What its workers give their rights up for; null: they have none to give up, or no account is known. */
  account: string | null
  /** A way to have another version than a reload: see bring-about.ts. */
  isReplacedByStart: boolean
}

/** The program is asked again only when its file is another one. A HAProxy that was removed goes on. */
const createVersionMemory = (): ((running: ProxyIdentity) => Promise<boolean>) => {
  let known: { stamp: string; version: string } | undefined
  return async (running) => {
    try {
      const program = findProgram()
      const stamp = await stampOf(program)
      if (known?.stamp !== stamp) known = { stamp, version: await programVersion(program) }
      return known.version === running.version
    } catch {
      return true
    }
  }
}

export const processLife = (files: ProxyFiles): ProxyLife => ({
  account: workerAccount(),
  version: async () => programVersion(findProgram()),
  look: async () => void (await programVersion(findProgram())),
  isCurrent: createVersionMemory(),
  check: async (configPath) => checkConfig(findProgram(), configPath),
  start: async ({ isBeside }) => {
    const takeOver = isBeside ? ['-x', files.admin] : []
    const starts = await listStarts(files)
    const [latest = 0] = starts
    // now, because one that is just being bound looks the same as one that nobody listens on
    for (const start of starts) await removeIfDead(files.masterOf(start))
    const sockets = ['-S', `${files.masterOf(latest + 1)},mode,600`]
    await startProgram(findProgram(), [
      '-W',
      '-D',
      ...sockets,
      '-p',
      files.pid,
      '-f',
      files.config,
      ...takeOver
    ])
    return latest + 1
  },
  reload: async (masterPid) => signal(masterPid, 'SIGUSR2'),
  endOthers: async (current) => endOthers(files.config, current),
  isReplacedByStart: true
})

/**
 * systemd starts it once there is a configuration, and again when it ended; a reload is a signal to its master, which
 * runs the program of that moment: so it is replaced, too.
 */
export const unitLife = (files: ProxyFiles): ProxyLife => ({
  ...processLife(files),
  start: async () => 0,
  endOthers: async () => 0,
  isReplacedByStart: false
})

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch (cause) {
    throw new ProxyError('proxy-error', `HAProxy (process ${pid}) takes no signal: ${String(cause)}`, {
      cause
    })
  }
}

/** SIGUSR1: no new connections, and an end with the last old one. To a master it counts for its workers. */
const endOthers = (
  configPath: string,
  { masterPid, workerPid }: { masterPid: number | null; workerPid: number }
): number => {
  const isCurrent = (pid: number): boolean =>
    pid === masterPid || pid === workerPid || (masterPid !== null && parentOf(pid) === masterPid)
  const others = findByConfig(configPath).filter((pid) => !isCurrent(pid) && isAlive(pid))
  const heads = others.filter((pid) => !others.includes(parentOf(pid)))
  for (const pid of heads) signal(pid, 'SIGUSR1')
  return heads.length
}
