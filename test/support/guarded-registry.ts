// Real registries that ask who is there: by htpasswd, over content that another registry has pushed; or by the tokens of
// a service beside it, as large ones do, over HTTPS.
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { importPKCS8, SignJWT } from 'jose'
import type { Test } from 'tap'
import { makeAuthority } from './authority.ts'
import { type RunningProcess, startProcess } from './processes.ts'
import { makeTestFolder } from './real-parts.ts'
import { waitUntil } from './wait.ts'

/** @param account a line of a htpasswd file, with bcrypt; `content`: where the other registry keeps its blobs */
export const startGuardedRegistry = async (
  t: Test,
  { address, account, content }: { address: string; account: string; content: string }
): Promise<RunningProcess> => {
  const folder = makeTestFolder(t)
  const passwords = join(folder, 'htpasswd')
  writeFileSync(passwords, `${account}\n`)
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: content } },
    http: { addr: address },
    auth: { htpasswd: { realm: 'test', path: passwords } }
  }
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(config))
  const daemon = await startProcess({
    name: 'guarded registry',
    file: 'docker-registry',
    args: ['serve', join(folder, 'config.yml')]
  })
  t.teardown(() => daemon.stop())
  await waitUntil('the guarded registry to answer', async () => {
    return (await fetch(`http://${address}/v2/`)).status === 401
  })
  return daemon
}

const tokenIssuer = 'test tokens'

/**
 * @param port of the registry; the tokens are given at the next one
 * @returns the authority of both certificates, and the rights that tokens were given for, as scopes name them
 */
export const startTokenRegistry = async (
  t: Test,
  { address, port, login }: { address: string; port: number; login: { username: string; password: string } }
): Promise<{ caFile: string; scopes: string[] }> => {
  const folder = makeTestFolder(t)
  const authority = await makeAuthority(folder, address)
  const { cert: certificate, key } = await authority.certify('registry')
  const name = `${address}:${port}`
  const tokens = `${address}:${port + 1}`
  const scopes: string[] = []
  const signer = await importPKCS8(readFileSync(key, 'utf8'), 'ES256')
  const x5c = [new X509Certificate(readFileSync(certificate)).raw.toString('base64')]
  const basic = Buffer.from(`${login.username}:${login.password}`).toString('base64')
  const give = async (scope: string): Promise<string> => {
    const [type, repository, actions = ''] = scope.split(':')
    scopes.push(actions.split(',').sort().join())
    const access = [{ type, name: repository, actions: actions.split(',') }]
    const claims = new SignJWT({ access }).setProtectedHeader({ alg: 'ES256', typ: 'JWT', x5c })
    const times = claims.setIssuer(tokenIssuer).setAudience(name).setSubject(login.username).setJti(scope)
    return times.setNotBefore('-1m').setIssuedAt().setExpirationTime('5m').sign(signer)
  }
  const files = { cert: readFileSync(certificate), key: readFileSync(key) }
  const service = createServer(files, (asked, response) => {
    const scope = new URL(asked.url ?? '', `https://${tokens}`).searchParams.get('scope') ?? ''
    if (asked.headers.authorization !== `Basic ${basic}`) response.writeHead(401).end()
    else void give(scope).then((token) => response.end(JSON.stringify({ token })))
  })
  service.listen(port + 1, address)
  await once(service, 'listening')
  t.teardown(() => service.close())
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(folder, 'content') }, delete: { enabled: true } },
    http: { addr: name, tls: { certificate, key } },
    auth: {
      token: {
        realm: `https://${tokens}/token`,
        service: name,
        issuer: tokenIssuer,
        rootcertbundle: authority.caFile
      }
    }
  }
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(config))
  const args = ['serve', join(folder, 'config.yml')]
  const daemon = await startProcess({ name: 'registry with tokens', file: 'docker-registry', args })
  t.teardown(() => daemon.stop())
  await waitUntil('the registry with tokens to listen', async () =>
    daemon.isRunning ? isListening(address, port) : Promise.reject(new Error(daemon.output))
  )
  return { caFile: authority.caFile, scopes }
}

const isListening = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port }, () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
