// A certificate authority of one's own, as a company has one, made with openssl below a folder of the test.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

export type Certificate = { cert: string; key: string }
export type Authority = {
  /** For LONGSHORE_CA_FILE. */
  caFile: string
  /** Makes PEM files for a server; `name` is the common name, and unique here. */
  certify(name: string): Promise<Certificate>
}

const openssl = (...args: string[]) => promisify(execFile)('openssl', args)
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** @param address IPv4 address for which its certificates are good */
export const makeAuthority = async (folder: string, address: string): Promise<Authority> => {
  const at = (name: string): string => join(folder, name)
  const [caFile, caKey, names] = [at('ca.crt'), at('ca.key'), at('names')]
  const own = ['-keyout', caKey, '-out', caFile, '-subj', '/CN=Own CA', '-days', '2']
  await openssl('req', '-x509', ...newKey, ...own)
  writeFileSync(names, `subjectAltName=IP:${address}`)
  return {
    caFile,
    certify: async (name) => {
      const [cert, key, wish] = [at(`${name}.crt`), at(`${name}.key`), at(`${name}.csr`)]
      await openssl('req', ...newKey, '-keyout', key, '-out', wish, '-subj', `/CN=${name}`)
      const signing = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-days', '1', '-extfile', names]
      await openssl('x509', '-req', '-in', wish, ...signing, '-out', cert)
      return { cert, key }
    }
  }
}
