// Credentials that came with commands: kept as they came, in memory alone, for as long as their run lasts, and opened
// when a registry is asked. Which are used is the step's business (execute/log-in.ts).
import { type CommandCredential, type CommandId, registryOf } from '@longshore/protocol'
import type { Clock, OpenLogin, SentLogins } from './ports.ts'

/** For a run that began in an earlier process: so long until a session has been there, or there is none. */
export const missedLimitMs = 30_000

export const createSentLogins = (open: OpenLogin, clock: Pick<Clock, 'after'>): SentLogins => {
  const kept = new Map<CommandId, readonly CommandCredential[]>()
  /** Runs whose credentials went with an earlier process. */
  const missed = new Map<CommandId, PromiseWithResolvers<void>>()
  const arrived = (command: CommandId): void => missed.get(command)?.resolve()
  return {
    keep: (command, credentials) => {
      kept.set(command, credentials)
      arrived(command)
    },
    miss: (command) => void missed.set(command, Promise.withResolvers()),
    forget: (command) => {
      kept.delete(command)
      arrived(command)
      missed.delete(command)
    },
    find: async (command, repository) => {
      const registry = registryOf(repository)
      const found = kept.get(command)?.find((one) => one.registry === registry)
      if (found === undefined) return { login: undefined, problem: null }
      if (found.jwe === null) return { login: undefined, problem: found.problem }
      try {
        return { login: await open(found.jwe, { command, registry }), problem: null }
      } catch {
        // without the cause, which nobody but the log could use, and the log gets nothing of secrets
        const problem = `what the controller sent to log in to ${registry} cannot be opened by this host`
        return { login: undefined, problem }
      }
    },
    arrival: async (command, signal) => {
      const waiting = missed.get(command)
      if (waiting === undefined) return false
      const stop = () => waiting.resolve()
      const cancel = clock.after(missedLimitMs, stop)
      signal.addEventListener('abort', stop, { once: true })
      await waiting.promise
      cancel()
      signal.removeEventListener('abort', stop)
      return kept.has(command)
    }
  }
}
