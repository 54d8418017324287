// Which exit code a command ends with. Pure, and the only place that knows: pipelines depend on these numbers.
// docs/cli.md explains each; a test compares this table with the page.
import type { ApiErrorCode } from '../api/errors.ts'
import type { Outcome } from '../api/schemas.ts'

export const exitCodes = {
  /** Every target is healthy on the new release; for other commands: done. */
  succeeded: 0,
  /** Failed; whatever had switched is back on the previous release. */
  reverted: 1,
  /** Wrong usage, an invalid service file, a name that does not exist; no host was asked for anything. */
  usage: 2,
  /** Not authenticated or not permitted. */
  denied: 3,
  /** Refused before any container was stopped or replaced. */
  refused: 4,
  /** Hosts differ at the end, or the state of one is not known. */
  mixed: 5,
  cancelled: 6,
  /** The CLI cannot say how it ended. */
  unknown: 7
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** The outcome of a deployment, or `unknown` when the CLI never learned it. */
export type SeenOutcome = Outcome | 'unknown'

const byOutcome = {
  succeeded: exitCodes.succeeded,
  reverted: exitCodes.reverted,
  mixed: exitCodes.mixed,
  refused: exitCodes.refused,
  cancelled: exitCodes.cancelled,
  unknown: exitCodes.unknown
} as const satisfies Record<SeenOutcome, ExitCode>

export const exitCodeOfOutcome = (outcome: SeenOutcome): ExitCode => byOutcome[outcome]

// 7 stands for answers after which nobody but the controller knows what was done.
const byApiError = {
  'invalid-request': exitCodes.usage,
  unauthenticated: exitCodes.denied,
  forbidden: exitCodes.denied,
  'claims-refused': exitCodes.denied,
  'unknown-environment': exitCodes.usage,
  'unknown-service': exitCodes.usage,
  'unknown-agent': exitCodes.usage,
  'unknown-deployment': exitCodes.usage,
  'unknown-release': exitCodes.usage,
  'unknown-token': exitCodes.usage,
  'unknown-webhook': exitCodes.usage,
  'unknown-registry': exitCodes.usage,
  'unknown-issuer': exitCodes.usage,
  'unknown-route': exitCodes.usage,
  'already-exists': exitCodes.refused,
  'in-use': exitCodes.refused,
  locked: exitCodes.refused,
  frozen: exitCodes.refused,
  'idempotency-conflict': exitCodes.usage,
  'promotion-required': exitCodes.refused,
  'not-promotable': exitCodes.refused,
  'not-good': exitCodes.refused,
  'no-targets': exitCodes.refused,
  'no-agent-connected': exitCodes.refused,
  'already-ended': exitCodes.refused,
  'not-paused': exitCodes.refused,
  'nothing-to-roll-back-to': exitCodes.refused,
  'wrong-state': exitCodes.refused,
  'too-large': exitCodes.usage,
  'rate-limited': exitCodes.denied,
  'webhook-failed': exitCodes.refused,
  'helper-failed': exitCodes.refused,
  'storage-full': exitCodes.refused,
  // nobody was let in, so nothing was done
  'issuer-unavailable': exitCodes.denied,
  internal: exitCodes.unknown,
  stopping: exitCodes.unknown
} as const satisfies Record<ApiErrorCode, ExitCode>

const isKnownCode = (code: string): code is ApiErrorCode => Object.hasOwn(byApiError, code)

/** A refusal by the controller. Codes of a newer controller fall back to their HTTP status. */
export function exitCodeOfProblem(problem: { code: string; status: number }): ExitCode {
  if (isKnownCode(problem.code)) return byApiError[problem.code]
  if (problem.status === 401 || problem.status === 403) return exitCodes.denied
  if (problem.status === 409) return exitCodes.refused
  if (problem.status >= 400 && problem.status < 500) return exitCodes.usage
  return exitCodes.unknown
}
