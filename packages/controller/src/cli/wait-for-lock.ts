// `--wait-for-lock`: while another deployment holds the service, waits for its end and asks again. A service that a
// person froze is not waited for: nobody knows for how long. Leaves the wait for the own deployment to others.
import type { DeploymentView, Problem } from '../api/schemas.ts'
import { CliError, ProblemError } from './cli-errors.ts'
import type { Client } from './client.ts'
import { endOf, pause, retryDelayMs } from './follow-deployment.ts'
import { formatDuration, formatTime } from './format-values.ts'
import type { Asking } from './wait-for-deployment.ts'

/** A lock may also end without its deployment: its lease runs out. */
const askAgainMs = 30_000

type Events = Pick<Client, 'deploymentEvents'>
type Ask = (signal: AbortSignal) => Promise<DeploymentView>

/**
 * @param limitMs 0: a refusal is the answer
 * @returns the deployment, accepted
 * @throws the last refusal, when the time is up or a signal ended the wait: nothing was begun
 */
export async function askPastLock(
  client: Events,
  asking: Asking,
  limitMs: number,
  ask: Ask
): Promise<DeploymentView> {
  const end = AbortSignal.any([AbortSignal.timeout(Math.max(1, limitMs)), asking.stop, asking.signal])
  let refusal: unknown = null
  let holder: string | null = null
  for (let repeats = 0; ; repeats += 1) {
    try {
      asking.busy()
      return await ask(asking.signal)
    } catch (error) {
      const lock = lockIn(error)
      // away while the lock was waited for: no request was sent, so that asking again begins nothing twice
      const isAway = refusal !== null && error instanceof CliError && error.code === 'unreachable'
      if (limitMs === 0 || asking.signal.aborted || (lock === null && !isAway)) throw error
      asking.idle()
      if (lock !== null) {
        if (lock.deployment !== holder) {
          asking.notice(`${describeHolder(lock)}; waiting up to ${formatDuration(limitMs)} for it to end`)
          repeats = 0
        }
        refusal = error
        holder = lock.deployment
      }
      await waitUntilFree(client, lock?.deployment ?? null, repeats, end)
      if (end.aborted) throw stopped(asking, refusal, limitMs)
    }
  }
}

type Lock = NonNullable<Problem['lock']>
const lockIn = (error: unknown): Lock | null =>
  error instanceof ProblemError && error.problem.code === 'locked' ? (error.problem.lock ?? null) : null

const describeHolder = ({ deployment, holder, sinceMs, reason }: Lock): string =>
  `locked by deployment ${deployment} of ${holder} since ${formatTime(sinceMs)}${reason === null ? '' : ` (${reason})`}`

function stopped(asking: Asking, refusal: unknown, limitMs: number): unknown {
  asking.notice(
    asking.stop.aborted
      ? 'stopped waiting for the lock on a signal; nothing was begun'
      : `still locked after ${formatDuration(limitMs)}; nothing was begun`
  )
  return refusal
}

/** Until the holder has ended, or it is worth asking again. Never rejects: `end` says whether to go on. */
async function waitUntilFree(
  client: Events,
  holder: string | null,
  repeats: number,
  end: AbortSignal
): Promise<void> {
  try {
    // of the same holder more than once: its events do not tell when the lock is free
    if (repeats > 0 || holder === null) await pause(retryDelayMs(repeats), end)
    if (holder === null) return
    const round = AbortSignal.any([end, AbortSignal.timeout(askAgainMs)])
    for await (const event of client.deploymentEvents(holder, round)) {
      if (event.type !== null && endOf(event) !== null) return
    }
  } catch {
    // not allowed to read it, or the controller is away: asking tells
  }
}
