// What can go wrong in the CLI itself, one class and a stable code each with its exit code. What the controller
// refuses is a ProblemError and carries the controller's own code.
import type { Problem } from '../api/schemas.ts'
import { type ExitCode, exitCodeOfProblem, exitCodes } from './exit-codes.ts'

/** Code -> exit code. docs/cli.md has a row each. */
export const cliErrors = {
  usage: exitCodes.usage,
  'invalid-service-file': exitCodes.usage,
  'file-unreadable': exitCodes.usage,
  'file-unwritable': exitCodes.usage,
  'image-unreadable': exitCodes.usage,
  'plaintext-refused': exitCodes.usage,
  'token-missing': exitCodes.denied,
  'controller-not-started': exitCodes.refused,
  'not-healthy': exitCodes.refused,
  'backup-failed': exitCodes.refused,
  'taken-over': exitCodes.unknown,
  unreachable: exitCodes.unknown,
  'connection-lost': exitCodes.unknown,
  'unexpected-answer': exitCodes.unknown
} as const satisfies Record<string, ExitCode>
export type CliErrorCode = keyof typeof cliErrors

export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: CliErrorCode
  /** Lines that say what to do, or list every problem. */
  readonly hints: readonly string[]

  constructor(code: CliErrorCode, message: string, hints: readonly string[] = [], options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hints = hints
  }
}

/** The controller answered with RFC 9457 problem JSON. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

export function exitCodeOfError(error: unknown): ExitCode {
  if (error instanceof ProblemError) return exitCodeOfProblem(error.problem)
  if (error instanceof CliError) return cliErrors[error.code]
  return exitCodes.unknown
}

/** Whether asking again can help: the controller is away, restarting or overloaded. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ProblemError) return error.problem.status >= 500 || error.problem.status === 429
  return error instanceof CliError && cliErrors[error.code] === exitCodes.unknown
}
