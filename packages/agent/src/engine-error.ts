// The closed set of what Docker's failures mean to a run. The adapter makes them; steps and the loop of runs
// decide by `code`, never by text.
import type { RunErrorCode, SourceFailure } from '@longshore/protocol'

/** Code -> what a run reports for it, and whether the same call may succeed later. */
export const engineErrors = {
  /** Nothing answers at the socket, or the connection broke. */
  unreachable: { report: 'engine-unavailable', isRetryable: true },
  /** The call went past its limit. */
  'timed-out': { report: 'engine-unavailable', isRetryable: true },
  'too-old': { report: 'engine-unavailable', isRetryable: false },
  'not-found': { report: 'engine-error', isRetryable: false },
  conflict: { report: 'engine-error', isRetryable: false },
  'name-taken': { report: 'name-taken', isRetryable: false },
  'bad-request': { report: 'spec-rejected', isRetryable: false },
  'port-taken': { report: 'port-taken', isRetryable: false },
  'start-refused': { report: 'spec-rejected', isRetryable: false },
  'image-missing': { report: 'image-not-found', isRetryable: false },
  'image-invalid': { report: 'image-invalid', isRetryable: false },
  'registry-denied': { report: 'registry-denied', isRetryable: false },
  'registry-unavailable': { report: 'registry-unavailable', isRetryable: true },
  'no-progress': { report: 'no-progress', isRetryable: true },
  'disk-full': { report: 'disk-full', isRetryable: false },
  failed: { report: 'engine-error', isRetryable: false }
} as const satisfies Record<string, { report: RunErrorCode; isRetryable: boolean }>

export type EngineErrorCode = keyof typeof engineErrors

/** Thrown by every call of the Engine port. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  readonly code: EngineErrorCode

  /** @param message for people, without secrets */
  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  get isRetryable(): boolean {
    return engineErrors[this.code].isRetryable
  }
}

export const isEngineError = (error: unknown, ...codes: EngineErrorCode[]): error is EngineError =>
  error instanceof EngineError && (codes.length === 0 || codes.includes(error.code))

/** What the step did, or waited for, cannot be found out any more. */
export class StepUnknown extends Error {
  override readonly name = 'StepUnknown'
}

/** The step's own judgement, for what is no failure of Docker. */
export class StepError extends Error {
  override readonly name = 'StepError'
  readonly code: RunErrorCode
  readonly log: string[]
  /** Of an image that no source gave. */
  readonly failedSources: SourceFailure[]

  constructor(
    code: RunErrorCode,
    message: string,
    more: { log?: string[]; failedSources?: SourceFailure[] } = {}
  ) {
    super(message)
    this.code = code
    this.log = more.log ?? []
    this.failedSources = more.failedSources ?? []
  }
}
