// Every refusal of the HTTP API: one class, a stable code each with its HTTP status. docs/errors.md has a row
// per code; a test compares both ways. The CLI's exit code follows from the code (see cli/exit-codes.ts).
import type { Problem } from './schemas.ts'

/** Code -> HTTP status and short title. */
export const apiErrors = {
  'invalid-request': { status: 400, title: 'the request is not valid' },
  unauthenticated: { status: 401, title: 'no valid API token was sent' },
  forbidden: { status: 403, title: 'the API token does not allow this' },
  'claims-refused': { status: 403, title: 'no rule of the issuer fits the claims of the ID token' },
  'unknown-environment': { status: 404, title: 'there is no such environment' },
  'unknown-service': { status: 404, title: 'no such service has been applied to the environment' },
  'unknown-agent': { status: 404, title: 'there is no such agent' },
  'unknown-deployment': { status: 404, title: 'there is no such deployment' },
  'unknown-release': { status: 404, title: 'there is no such release' },
  'unknown-token': { status: 404, title: 'there is no such token' },
  'unknown-webhook': { status: 404, title: 'there is no such webhook' },
  'unknown-registry': { status: 404, title: 'there are no credentials of such a registry' },
  'unknown-issuer': { status: 404, title: 'there is no such issuer' },
  'unknown-route': { status: 404, title: 'there is nothing at this address' },
  'already-exists': { status: 409, title: 'it exists already' },
  'in-use': { status: 409, title: 'it is still in use' },
  locked: { status: 409, title: 'another deployment of the service is in progress' },
  frozen: { status: 423, title: 'a person has locked the service or its environment' },
  'idempotency-conflict': { status: 409, title: 'the idempotency key belongs to another request' },
  'promotion-required': { status: 409, title: 'the environment takes images by promotion only' },
  'not-promotable': { status: 409, title: 'there is no good release to promote' },
  'not-good': { status: 409, title: 'the release never succeeded' },
  'no-targets': { status: 409, title: 'the environment has no host for the service' },
  'no-agent-connected': { status: 409, title: 'no agent of the environment is connected' },
  'already-ended': { status: 409, title: 'the deployment has ended' },
  'not-paused': { status: 409, title: 'the deployment is not paused' },
  'nothing-to-roll-back-to': { status: 409, title: 'there is no former good release' },
  'wrong-state': { status: 409, title: 'its state does not allow this' },
  'too-large': { status: 413, title: 'the request body is too large' },
  'rate-limited': { status: 429, title: 'too many failures from this address, or streams of this token' },
  internal: { status: 500, title: 'the controller failed' },
  'webhook-failed': { status: 502, title: 'the receiver of the webhook did not take the test' },
  'helper-failed': { status: 502, title: 'the credential helper on the controller gave no credentials' },
  'storage-full': { status: 507, title: 'the controller has no room to store what was asked' },
  'issuer-unavailable': { status: 503, title: 'the issuer of the ID token does not say its keys' },
  stopping: { status: 503, title: 'the controller is stopping' }
} as const satisfies Record<string, { status: number; title: string }>
export type ApiErrorCode = keyof typeof apiErrors

/** Something that exists, and the places that decide who may know of it. `services` null: a whole environment. */
export type Existing = { name: string; environment: string; services: readonly string[] | null }
type Extra = Pick<Problem, 'known' | 'lock' | 'freeze' | 'deployment' | 'errors'> & {
  /** Becomes `known`, as far as the token may know it. */
  existing?: readonly Existing[]
}

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: ApiErrorCode
  readonly status: number
  readonly extra: Extra

  /** @param detail one sentence for the person who asked; @param extra what exists, or who stands in the way */
  constructor(code: ApiErrorCode, detail: string, extra: Extra = {}) {
    super(detail)
    this.code = code
    this.status = apiErrors[code].status
    this.extra = extra
  }
}
