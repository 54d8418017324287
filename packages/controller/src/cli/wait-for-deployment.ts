// Waits for a deployment the way a pipeline needs it: until it ended, the time is up, or somebody aborts. A
// cancellation, by the first signal or by a time limit that says so, is waited for too; the second signal leaves.
import type { DeploymentView } from '../api/schemas.ts'
import { isPassing, ProblemError } from './cli-errors.ts'
import type { Client } from './client.ts'
import { followDeployment, pause, retryDelayMs, type Watcher } from './follow-deployment.ts'
import { formatDuration } from './format-values.ts'

export type WaitOptions = {
  timeoutMs: number
  onTimeout: 'detach' | 'cancel'
  /** How long the end is still waited for after the time limit has cancelled the deployment. */
  cancelGraceMs: number
  onAbort: 'cancel' | 'detach'
  /** Only until the controller has accepted it. */
  isDetached: boolean
}
export type SignalSource = (listener: (name: string) => void) => () => void

export type WaitEnd =
  /** Accepted, and asked for no more than that. */
  | { kind: 'begun'; deployment: DeploymentView }
  | { kind: 'ended'; deployment: DeploymentView }
  /** `deployment` is the last that was seen; null: not even its id is known. */
  | { kind: 'unknown'; deployment: DeploymentView | null; why: string }

/** What whoever asks for a deployment is given, and tells: an answer on its way is never walked away from. */
export type Asking = {
  /** Aborted: nobody waits any longer, not even for an answer. */
  signal: AbortSignal
  /** Aborted: nothing more may be asked for; an answer on its way is still wanted. */
  stop: AbortSignal
  notice(text: string): void
  remark(text: string): void
  /** A request leaves now; the time limit begins. */
  busy(): void
  /** Nothing is on its way; the time limit does not count. */
  idle(): void
}

type Waiting = {
  client: Client
  watcher: Watcher
  options: WaitOptions
  /** Aborted with a GaveUp: nobody waits any longer. */
  giveUp: AbortController
  stop: AbortController
  isAsking: boolean
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
  begin: (asking: Asking) => Promise<DeploymentView>,
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
    stop: new AbortController(),
    isAsking: true,
    isCancelWanted: false,
    isDetachWanted: false,
    deployment: null
  }
  const limit = createLimit(waiting)
  const stopListening = onSignal((name) => takeSignal(waiting, name))
  const asking: Asking = {
    signal: giveUp.signal,
    stop: waiting.stop.signal,
    notice: watcher.notice,
    remark: watcher.remark,
    busy: () => {
      waiting.isAsking = true
      limit.start()
    },
    idle: () => {
      waiting.isAsking = false
      limit.stop()
    }
  }
  try {
    return await waitToEnd(waiting, async () => {
      const deployment = await begin(asking)
      // asking may have taken its time; from here on it is the deployment's
      limit.start()
      return deployment
    })
  } finally {
    limit.stop()
    stopListening()
    // ends a cancel that is still being repeated
    giveUp.abort(new GaveUp('the wait is over'))
    watcher.end()
  }
}

/** `--timeout` and what it does. It runs from the start. */
function createLimit(waiting: Waiting): { start(): void; stop(): void } {
  const { options, giveUp, watcher } = waiting
  const after = formatDuration(options.timeoutMs)
  let timer: NodeJS.Timeout | undefined
  const leave = (why: string): void => giveUp.abort(new GaveUp(why))
  const passed = (): void => {
    const { deployment, isCancelWanted } = waiting
    if (options.onTimeout === 'detach' || deployment === null || isCancelWanted) {
      leave(`it had not ended after ${after}`)
      return
    }
    const grace = formatDuration(options.cancelGraceMs)
    watcher.notice(
      `it has not ended after ${after}: cancelling the deployment, and waiting ${grace} for its end`
    )
    waiting.isCancelWanted = true
    repeatCancel(waiting, deployment.id)
    const why = `it had not ended after ${after}, nor ${grace} after it was to be cancelled`
    timer = setTimeout(() => leave(why), options.cancelGraceMs)
  }
  const stop = (): void => clearTimeout(timer)
  const start = (): void => {
    stop()
    timer = setTimeout(passed, options.timeoutMs)
  }
  start()
  return { start, stop }
}

async function waitToEnd(waiting: Waiting, begin: () => Promise<DeploymentView>): Promise<WaitEnd> {
  const { signal } = waiting.giveUp
  try {
    const deployment = await begin()
    waiting.deployment = deployment
    if (waiting.options.isDetached) return { kind: 'begun', deployment }
    const at = new Date(deployment.requestedAtMs).toISOString()
    waiting.watcher.event({ type: 'deployment', at, deployment })
    if (waiting.isDetachWanted) return unknown(waiting, 'stopped waiting on a signal')
    if (waiting.isCancelWanted) repeatCancel(waiting, deployment.id)
    const ended = await followDeployment(waiting.client, deployment.id, remembering(waiting), signal)
    // only the answer to the request says whether it attached
    const { attached } = deployment
    return { kind: 'ended', deployment: attached === undefined ? ended : { ...ended, attached } }
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
  const { options, deployment, watcher, stop } = waiting
  const isFirst = !stop.signal.aborted
  stop.abort()
  if (deployment === null && !waiting.isAsking) return
  if (!isFirst || waiting.isCancelWanted) {
    waiting.giveUp.abort(new GaveUp(`stopped waiting on ${isFirst ? name : `a second signal (${name})`}`))
    return
  }
  if (options.isDetached || options.onAbort === 'detach') {
    waiting.isDetachWanted = true
    if (deployment !== null) waiting.giveUp.abort(new GaveUp(`stopped waiting on ${name}`))
    else watcher.notice(`${name}: will stop waiting once the controller has answered`)
    return
  }
  waiting.isCancelWanted = true
  watcher.notice(`${name}: cancelling the deployment; another signal stops waiting for it`)
  if (deployment !== null) repeatCancel(waiting, deployment.id)
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
