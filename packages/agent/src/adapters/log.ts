// The log: JSON lines on stdout, for journald or the container engine to keep. Fields that could hold a secret are
// blanked here as well, although nobody should log them.
import { type Logger, pino } from 'pino'

/** Names under which secrets travel in objects that libraries attach to errors. */
const secretNames = ['token', 'joinToken', 'authorization', 'Authorization', 'privateJwk', 'd', 'password']

/** Synchronous: a line is out before the process can end, and no thread is started for it. */
export const createLog = (level: string): Logger => {
  const out = pino.destination({ dest: 1, sync: true })
  // A log that cannot be written (a full disk, a reader that is gone) must not stop what it tells about.
  out.on('error', () => {})
  return pino(
    {
      level,
      base: { name: 'longshore-agent' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secretNames.flatMap((name) => [name, `*.${name}`, `*.headers.${name}`]),
        censor: '[redacted]'
      }
    },
    out
  )
}
