// Waits for a deployment the way a pipeline needs it: until it ended, the time is up, or somebody aborts. The
// first SIGINT or SIGTERM cancels the deployment and goes on waiting, the second leaves it alone.
import type { DeploymentView } from '../api/schemas.ts'
import { isPassing, ProblemError } from './cli-errors.ts'
import type { Client } from './client.ts'
import { followDeployment, pause, retryDelayMs, type Watcher } from './follow-deployment.ts'
import { formatDuration } from './format-values.ts'

export type WaitOptions = { timeoutMs: number; onAbort: 'cancel' | 'detach' }
export type SignalSource = (listener: (name: string) => void) => () => void

export type WaitEnd =
  | { kind: 'ended'; deployment: DeploymentView }
  /** `deployment` is the last that was seen; null: not even its id is known. */
  | { kind: 'unknown'; deployment: DeploymentView | null; why: string }

type Waiting = {
  client: Client
  watcher: Watcher
  options: WaitOptions
  /** Aborted with a GaveUp: nobody waits any longer. */
  giveUp: AbortController
  isCancelWanted: boolean
  isDetachWanted: boolean
  deployment: DeploymentView | null
}

/** Why the wait ended before the deployment did; one sentence. */
class GaveUp extends Error {
  override readonly name = 'GaveUp'
}

/**
 * @param begin asks for the deployment, or reads a running one; a signal that comes meanwhile waits for its answer
 * @throws what `begin` throws, unless the wait was given up: then nothing is known of a deployment
 */
export async function waitForDeployment(
  client: Client,
  begin: (signal: AbortSignal) => Promise<DeploymentView>,
  options: WaitOptions,
  watcher: Watcher,
  onSignal: SignalSource
): Promise<WaitEnd> {
  const giveUp = new AbortController()
  const waiting: Waiting = {
    client,
    watcher,
    options,
    giveUp,
    isCancelWanted: false,
    isDetachWanted: false,
    deployment: null
  }
  const timer = setTimeout(() => {
    giveUp.abort(new GaveUp(`it had not ended after ${formatDuration(options.timeoutMs)}`))
  }, options.timeoutMs)
  const stopListening = onSignal((name) => takeSignal(waiting, name))
  try {
    return await waitToEnd(waiting, begin)
  } finally {
    clearTimeout(timer)
    stopListening()
    // ends a cancel that is still being repeated
    giveUp.abort(new GaveUp('the wait is over'))
    watcher.end()
  }
}

async function waitToEnd(
  waiting: Waiting,
  begin: (signal: AbortSignal) => Promise<DeploymentView>
): Promise<WaitEnd> {
  const { signal } = waiting.giveUp
  try {
    const deployment = await begin(signal)
    waiting.deployment = deployment
    const at = new Date(deployment.requestedAtMs).toISOString()
    waiting.watcher.event({ type: 'deployment', at, deployment })
    if (waiting.isDetachWanted) return unknown(waiting, 'stopped waiting on a signal')
    if (waiting.isCancelWanted) repeatCancel(waiting, deployment.id)
    const ended = await followDeployment(waiting.client, deployment.id, remembering(waiting), signal)
    return { kind: 'ended', deployment: ended }
  } catch (error) {
    if (signal.aborted) {
      return unknown(
        waiting,
        signal.reason instanceof GaveUp ? signal.reason.message : 'the wait was given up'
      )
    }
    if (waiting.deployment === null) throw error
    return unknown(waiting, error instanceof Error ? error.message : String(error))
  }
}

const unknown = (waiting: Waiting, why: string): WaitEnd => ({
  kind: 'unknown',
  deployment: waiting.deployment,
  why
})

/** The watcher, with every snapshot kept as the last thing known. */
const remembering = (waiting: Waiting): Watcher => ({
  ...waiting.watcher,
  event(event) {
    if (event.type === 'deployment' || event.type === 'ended') waiting.deployment = event.deployment
    waiting.watcher.event(event)
  }
})

function takeSignal(waiting: Waiting, name: string): void {
  const isFirst = !waiting.isCancelWanted && !waiting.isDetachWanted
  if (!isFirst) {
    waiting.giveUp.abort(new GaveUp(`stopped waiting on a second signal (${name})`))
    return
  }
  if (waiting.options.onAbort === 'detach') {
    waiting.isDetachWanted = true
    if (waiting.deployment !== null) waiting.giveUp.abort(new GaveUp(`stopped waiting on ${name}`))
    else waiting.watcher.notice(`${name}: will stop waiting once the controller has answered`)
    return
  }
  waiting.isCancelWanted = true
  waiting.watcher.notice(`${name}: cancelling the deployment; another signal stops waiting for it`)
  if (waiting.deployment !== null) repeatCancel(waiting, waiting.deployment.id)
}

/** Sends the cancel until the controller has it; the wait itself goes on beside it. */
function repeatCancel(waiting: Waiting, id: string): void {
  const { signal } = waiting.giveUp
  const send = async (): Promise<void> => {
    for (let failures = 0; ; failures += 1) {
      try {
        return await waiting.client.cancel(id, signal)
      } catch (error) {
        if (signal.aborted) return
        if (!isPassing(error)) return waiting.watcher.notice(describeRefusal(error))
        await pause(retryDelayMs(failures), signal)
      }
    }
  }
  // the only rejection left is the end of the wait
  send().catch(() => undefined)
}

function describeRefusal(error: unknown): string {
  if (error instanceof ProblemError && error.problem.code === 'already-ended') {
    return 'the deployment had ended before it could be cancelled'
  }
  const detail = error instanceof Error ? error.message : String(error)
  return `the deployment was NOT cancelled: ${detail}`
}
