// Asking a registry with what the controller sent for it. The host's own credentials go first, which is the engine
// adapter's business; here is what happens when none are let in.
import type { RegistryLogin } from '@longshore/protocol'
import { EngineError, isEngineError } from '../engine-error.ts'
import type { Runtime } from '../ports.ts'

/**
 * @param ask may be called twice: a run that an earlier process began gets its credentials again with the next session
 * @throws EngineError as `ask`, with why the controller sent none
 */
export const logIn = async <T>(
  { logins, signal }: Pick<Runtime, 'logins' | 'signal'>,
  repository: string,
  ask: (login: RegistryLogin | undefined) => Promise<T>
): Promise<T> => {
  for (let isFirst = true; ; isFirst = false) {
    const { login, problem } = await logins.find(repository)
    try {
      return await ask(login)
    } catch (error) {
      if (!isEngineError(error, 'registry-denied')) throw error
      if (isFirst && login === undefined && (await logins.arrival(signal))) continue
      if (problem === null) throw error
      throw new EngineError(error.code, `${error.message}; ${problem}`, { cause: error })
    }
  }
}
