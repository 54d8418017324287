// A renewed certificate is used for new connections without a restart. Polled: certificates are often exchanged by
// renaming links, which watching a file misses.
import { X509Certificate } from 'node:crypto'
import { unwatchFile, watchFile } from 'node:fs'
import type { Server } from 'node:https'
import type { Meters } from '../../engine/meters.ts'
import type { Log } from '../../ports.ts'
import { readPems } from './create-app.ts'

const pollMs = 1000

/** @returns ends the watching */
export const reloadCertificate = (
  server: Server,
  tls: { cert: string; key: string },
  { log, meters }: { log: Log; meters: Pick<Meters, 'certificateServed'> }
): (() => void) => {
  const reload = (): void => {
    try {
      const pems = readPems(tls)
      server.setSecureContext(pems)
      meters.certificateServed(expiryOf(pems.cert))
      log.info({ cert: tls.cert }, 'the certificate was read')
    } catch (error) {
      // half of a pair is common while both files are being exchanged: the next change tries again
      log.warn({ err: error, cert: tls.cert }, 'the new certificate cannot be used; the former one stays')
    }
  }
  // the files as they are now: they may have changed since the server read them
  reload()
  const paths = [tls.cert, tls.key]
  for (const path of paths) watchFile(path, { interval: pollMs, persistent: false }, reload)
  return () => {
    for (const path of paths) unwatchFile(path, reload)
  }
}

/** Of the first certificate, which is the server's own; those of authorities behind it live longer. */
const expiryOf = (pem: Buffer): number => Date.parse(new X509Certificate(pem).validTo)
