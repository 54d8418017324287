// How is a refusal told over HTTP? One RFC 9457 body for the API's own errors and for those of the wire, which
// agents meet at enrolment and before a session is opened.
import { type ProtocolError, type ProtocolErrorCode, protocolErrors } from '@longshore/protocol'
import { type ApiError, apiErrors, type Existing } from './errors.ts'
import type { Problem } from './schemas.ts'

export const problemType = 'application/problem+json'

/** @param isKnowable which of the things that exist may be named to whoever asked */
export const problemOfApi = (
  error: ApiError,
  isKnowable: (one: Existing) => boolean = () => false
): Problem => {
  const { existing, ...extra } = error.extra
  return {
    type: `urn:longshore:error:${error.code}`,
    title: apiErrors[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    ...extra,
    ...(existing && { known: [...new Set(existing.filter(isKnowable).map(({ name }) => name))] })
  }
}

/** @param error of the wire; `time` of a `clock-skew` is the controller's signed time */
export const problemOfProtocol = (error: ProtocolError & { time?: string | undefined }): Problem => ({
  type: `urn:longshore:error:${error.code}`,
  title: protocolErrors[error.code],
  status: statusOf(error.code),
  detail: error.message,
  code: error.code,
  ...(error.time !== undefined && { time: error.time })
})

/** 403: whoever it is was recognised and may not; 401: it was not recognised; 400: it was not understood. */
const statuses: Partial<Record<ProtocolErrorCode, number>> = {
  'frame-too-large': 413,
  'signature-invalid': 401,
  'key-unknown': 401,
  'unknown-agent': 401,
  replayed: 401,
  'clock-skew': 401,
  'audience-mismatch': 403,
  expired: 403,
  'used-up': 403,
  revoked: 403,
  'unknown-token': 403,
  held: 403,
  'unsupported-version': 426,
  'rate-limited': 429
}
const statusOf = (code: ProtocolErrorCode): number => statuses[code] ?? 400
