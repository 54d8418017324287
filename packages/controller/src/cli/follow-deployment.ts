// Follows a deployment's event stream to its end, across lost connections and restarts of the controller. Leaves
// to wait-for-deployment.ts when to give up, and to the watcher what people see.
import { setTimeout as delay } from 'node:timers/promises'
import type { DeploymentEvent, DeploymentView } from '../api/schemas.ts'
import { CliError, isPassing } from './cli-errors.ts'
import type { Client } from './client.ts'

const retryBaseMs = 250
const retryCapMs = 5_000
/** Light for the controller, soon enough for a pipeline. */
const pollMs = 2_000

/** Who shows a wait. Calls come in order; none may throw. */
export type Watcher = {
  event(event: DeploymentEvent): void
  /** An event of a kind that is not known here, as it came. */
  unread(event: object): void
  /** About the wait itself: a lost connection, a cancel that was sent. */
  notice(text: string): void
  /** A notice that is still true, and to be seen, when the wait is over. */
  remark(text: string): void
  /** No more calls after this one. */
  end(): void
}

/**
 * @returns the deployment as it ended
 * @throws what can not pass by itself (ProblemError, 401 for example), or the signal's reason
 */
export async function followDeployment(
  client: Pick<Client, 'deploymentEvents' | 'deployment'>,
  id: string,
  watcher: Pick<Watcher, 'event' | 'unread' | 'notice'>,
  signal: AbortSignal
): Promise<DeploymentView> {
  let failures = 0
  for (;;) {
    let lost = 'the controller closed the stream'
    try {
      for await (const event of client.deploymentEvents(id, signal)) {
        if (failures > 0) watcher.notice('connected to the controller again')
        failures = 0
        if (event.type === null) {
          watcher.unread(event.json)
          continue
        }
        const ended = endOf(event)
        watcher.event(ended === null ? event : { type: 'ended', at: event.at, deployment: ended })
        if (ended !== null) return ended
      }
    } catch (error) {
      signal.throwIfAborted()
      if (isNotUnderstood(error)) {
        const every = `${String(pollMs / 1000)} s`
        watcher.notice(`${error.message}; asking for the deployment every ${every} instead`)
        return pollDeployment(client, id, watcher, signal)
      }
      if (!isPassing(error)) throw error
      lost = error instanceof Error ? error.message : String(error)
    }
    if (failures === 0) watcher.notice(`${lost}; trying again, the deployment goes on without this command`)
    await pause(retryDelayMs(failures), signal)
    failures += 1
  }
}

const isNotUnderstood = (error: unknown): error is CliError =>
  error instanceof CliError && error.code === 'unexpected-answer'

/** Without its events: fewer details, the same end. @throws also what is not understood here either */
async function pollDeployment(
  client: Pick<Client, 'deployment'>,
  id: string,
  watcher: Pick<Watcher, 'event'>,
  signal: AbortSignal
): Promise<DeploymentView> {
  for (;;) {
    try {
      const deployment = await client.deployment(id, signal)
      const isEnded = deployment.phase === 'ended'
      const at = new Date(deployment.endedAtMs ?? deployment.requestedAtMs).toISOString()
      watcher.event({ type: isEnded ? 'ended' : 'deployment', at, deployment })
      if (isEnded) return deployment
    } catch (error) {
      signal.throwIfAborted()
      if (!isPassing(error) || isNotUnderstood(error)) throw error
    }
    await pause(pollMs, signal)
  }
}

/** Doubles from 0.25 s to 5 s: a controller restarts within seconds, and one waiting command is no herd. */
export const retryDelayMs = (failures: number): number => Math.min(retryCapMs, retryBaseMs * 2 ** failures)

/** Waits; rejects with the signal's own reason instead of Node's AbortError. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

/** A snapshot of a deployment that has ended says as much as its `ended` event. */
export function endOf(event: DeploymentEvent): DeploymentView | null {
  if (event.type === 'ended') return event.deployment
  return event.type === 'deployment' && event.deployment.phase === 'ended' ? event.deployment : null
}
