// A renewed certificate is used for new connections without a restart. Polled: certificates are often exchanged by
// renaming links, which watching a file misses.
import { unwatchFile, watchFile } from 'node:fs'
import type { Server } from 'node:https'
import type { Log } from '../../ports.ts'
import { readPems } from './create-app.ts'

const pollMs = 1000

/** @returns ends the watching */
export const reloadCertificate = (
  server: Server,
  tls: { cert: string; key: string },
  log: Log
): (() => void) => {
  const reload = (): void => {
    try {
      server.setSecureContext(readPems(tls))
      log.info({ cert: tls.cert }, 'the certificate was read again')
    } catch (error) {
      // half of a pair is common while both files are being exchanged: the next change tries again
      log.warn({ err: error, cert: tls.cert }, 'the new certificate cannot be used; the former one stays')
    }
  }
  const paths = [tls.cert, tls.key]
  for (const path of paths) watchFile(path, { interval: pollMs, persistent: false }, reload)
  return () => {
    for (const path of paths) unwatchFile(path, reload)
  }
}
