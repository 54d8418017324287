// Tokens of credential helpers, for as long as one is worth keeping: a hundred hosts of a rollout cost one question.
import { hubName } from '@longshore/protocol'
import type { Clock, CredentialHelper, Login } from '../ports.ts'

/** Tokens of clouds live for an hour or more; one that is withdrawn, or a login that was repaired, counts soon. */
export const keptMs = 60_000
/** A helper that hangs costs one host its time limit, not each of them. */
export const failureKeptMs = 15_000
/** The key of Docker Hub towards helpers. */
const hubServer = 'https://index.docker.io/v1/'

export type Helpers = {
  /** @param registry as protocol/registry-name.ts has it. Rejects with HelperError. */
  ask(program: string, registry: string): Promise<Login>
}

export const createHelpers = (helper: CredentialHelper, steadyClock: Pick<Clock, 'nowMs'>): Helpers => {
  const kept = new Map<string, { result: Promise<Login>; untilMs: number }>()
  return {
    ask: (program, registry) => {
      for (const [key, { untilMs }] of kept) if (untilMs <= steadyClock.nowMs()) kept.delete(key)
      const key = `${program} ${registry}`
      const found = kept.get(key)
      if (found !== undefined) return found.result
      const result = helper.get(program, registry === hubName ? hubServer : registry)
      const entry = { result, untilMs: Number.POSITIVE_INFINITY }
      kept.set(key, entry)
      const keepFor = (ms: number) => () => {
        entry.untilMs = steadyClock.nowMs() + ms
      }
      result.then(keepFor(keptMs), keepFor(failureKeptMs))
      return result
    }
  }
}
