// The controller's log: one JSON object a line on stderr, with everything redacted that could be a secret.
import { type Logger, pino } from 'pino'

const secretPaths = [
  'authorization',
  'token',
  'password',
  'privateKey',
  'd',
  '*.authorization',
  '*.token',
  '*.password',
  '*.privateKey',
  '*.d',
  'headers.cookie'
]

/** @param level pino's: `fatal` to `trace`, or `silent` */
export const createLog = (level: string): Logger => {
  const out = pino.destination({ dest: 2, sync: true })
  // A log that cannot be written (a full disk, a reader that is gone) must not stop what it tells about.
  out.on('error', () => {})
  return pino({ level, base: null, redact: { paths: secretPaths, censor: '[redacted]' } }, out)
}
