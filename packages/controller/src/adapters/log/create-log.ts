// The controller's log: one JSON object a line on stderr, with everything redacted that could be a secret.
import { type Logger, pino } from 'pino'

const secretPaths = [
  'authorization',
  'token',
  'privateKey',
  'd',
  '*.authorization',
  '*.token',
  '*.privateKey',
  '*.d',
  'headers.cookie'
]

/** @param level pino's: `fatal` to `trace`, or `silent` */
export const createLog = (level: string): Logger =>
  pino(
    { level, base: null, redact: { paths: secretPaths, censor: '[redacted]' } },
    pino.destination({ dest: 2, sync: true })
  )
