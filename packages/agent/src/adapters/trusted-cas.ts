// Whose certificates count for the controller: the file that was named, else Node's own list and the system's,
// because companies put their certificate authority into the system's.
import { readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { AgentExit } from '../exit-codes.ts'

/** Costs some megabytes with the system's list: made once, and only for https. @throws AgentExit `settings` */
export const trustCas = (caFile: string | null): SecureContext => {
  if (caFile === null) {
    return createSecureContext({
      ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
    })
  }
  try {
    const pem = readFileSync(caFile, 'utf8')
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error('it holds no PEM certificate')
    return createSecureContext({ ca: pem })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown reason'
    throw new AgentExit('settings', `LONGSHORE_CA_FILE: ${caFile} cannot be used: ${why}`, { cause })
  }
}
