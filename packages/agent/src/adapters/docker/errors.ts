// From what the Engine answers to the closed set of engine-error.ts. Status first; where Docker gives only text
// with a 500 or inside a stream, the table here holds the texts, with the version in which they were read.
import { EngineError, type EngineErrorCode } from '../../engine-error.ts'

type TextRow = { text: string; code: EngineErrorCode; seenIn: string }

/** Compared in lower case, first match wins. */
const textTable: readonly TextRow[] = [
  { text: 'port is already allocated', code: 'port-taken', seenIn: 'Engine 20.10 to 28' },
  { text: 'address already in use', code: 'port-taken', seenIn: 'Engine 20.10 to 28, userland proxy' },
  { text: 'ports are not available', code: 'port-taken', seenIn: 'Docker Desktop 4' },
  { text: 'no space left on device', code: 'disk-full', seenIn: 'Engine 20.10, Linux ENOSPC' },
  { text: 'manifest unknown', code: 'image-missing', seenIn: 'Distribution 2.8 through Engine 20.10' },
  { text: 'no matching manifest for', code: 'image-invalid', seenIn: 'Engine 20.10' },
  { text: 'does not match the specified platform', code: 'image-invalid', seenIn: 'Engine 20.10' },
  { text: 'name unknown', code: 'image-missing', seenIn: 'Distribution 2.8' },
  { text: 'repository name not known to registry', code: 'image-missing', seenIn: 'Distribution 2.8' },
  { text: 'no basic auth credentials', code: 'registry-denied', seenIn: 'Engine 20.10' },
  { text: 'pull access denied', code: 'registry-denied', seenIn: 'Engine 20.10' },
  { text: 'authentication required', code: 'registry-denied', seenIn: 'Distribution 2.8' },
  { text: 'unauthorized', code: 'registry-denied', seenIn: 'Engine 20.10, Docker Hub' },
  { text: 'toomanyrequests', code: 'registry-unavailable', seenIn: 'Docker Hub 2020 and later' },
  { text: 'no such host', code: 'registry-unavailable', seenIn: 'Engine 20.10, Go resolver' },
  { text: 'connection refused', code: 'registry-unavailable', seenIn: 'Engine 20.10, Go net' },
  { text: 'i/o timeout', code: 'registry-unavailable', seenIn: 'Engine 20.10, Go net' },
  { text: 'tls handshake timeout', code: 'registry-unavailable', seenIn: 'Engine 20.10, Go net' },
  { text: 'client.timeout exceeded', code: 'registry-unavailable', seenIn: 'Engine 20.10, Go http' },
  { text: 'context deadline exceeded', code: 'registry-unavailable', seenIn: 'Engine 24, Go http' },
  { text: 'service unavailable', code: 'registry-unavailable', seenIn: 'Distribution 2.8 behind a proxy' },
  { text: 'bad gateway', code: 'registry-unavailable', seenIn: 'Distribution 2.8 behind a proxy' },
  { text: 'filesystem layer verification failed', code: 'image-invalid', seenIn: 'Engine 20.10' },
  { text: 'image config verification failed', code: 'image-invalid', seenIn: 'Engine 20.10' },
  { text: 'manifest verification failed', code: 'image-invalid', seenIn: 'Engine 20.10' }
]

/** What a call is about decides what its statuses mean. */
export type Subject =
  | 'container'
  | 'create'
  | 'rename'
  | 'start'
  | 'image'
  | 'registry'
  | 'network'
  | 'engine'

export const findTextCode = (text: string): EngineErrorCode | undefined => {
  const lower = text.toLowerCase()
  return textTable.find((row) => lower.includes(row.text))?.code
}

/** @param status HTTP status of the Engine's answer */
export const fromStatus = (status: number, message: string, subject: Subject): EngineError =>
  new EngineError(codeOf(status, message, subject), message.trim())

const codeOf = (status: number, message: string, subject: Subject): EngineErrorCode => {
  const byText = findTextCode(message)
  if (subject === 'registry') return byText ?? registryCode(status)
  if (byText === 'port-taken' || byText === 'disk-full') return byText
  if (status === 409) return subject === 'create' || subject === 'rename' ? 'name-taken' : 'conflict'
  if (status === 404) return subject === 'image' || subject === 'create' ? missingCode(message) : 'not-found'
  if (subject === 'start') return 'start-refused'
  if (status === 400) return 'bad-request'
  return 'failed'
}

/** A create answers 404 for a missing image and for a missing network or runtime alike. */
const missingCode = (message: string): EngineErrorCode =>
  message.toLowerCase().includes('no such image') ? 'image-missing' : 'not-found'

/** `GET /distribution/NAME/json` and `POST /images/create` pass on what the registry said. */
const registryCode = (status: number): EngineErrorCode => {
  if (status === 401 || status === 403) return 'registry-denied'
  if (status === 404) return 'image-missing'
  if (status === 400) return 'bad-request'
  return 'registry-unavailable'
}

/** Anything that dockerode rejects with. */
export const toEngineError = (error: unknown, subject: Subject): EngineError => {
  if (error instanceof EngineError) return error
  if (!(error instanceof Error)) return new EngineError('failed', String(error))
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined
  if (status !== undefined) return fromStatus(status, messageOf(error), subject)
  return new EngineError('unreachable', `the Docker Engine does not answer: ${error.message}`, {
    cause: error
  })
}

const messageOf = (error: Error): string => {
  const json: unknown = 'json' in error ? error.json : undefined
  if (typeof json === 'object' && json !== null && 'message' in json && typeof json.message === 'string')
    return json.message
  return error.message
}
