// HTTPS under a certificate authority of one's own: the API, the CLI and an agent's session, and a certificate that
// is exchanged while the controller runs.
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect as connectTls, type PeerCertificate } from 'node:tls'
import { subprotocol } from '@longshore/protocol'
import t from 'tap'
import { WebSocket } from 'ws'
import { makeAuthority } from '../support/authority.ts'
import { startRealController } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

const cli = new URL('../../packages/controller/src/cli/main.ts', import.meta.url).pathname
/** With CI=true a missing part is a failure: then it is not skipped. */
const isMissing = process.env['CI'] !== 'true' && !['/usr/bin/openssl', '/bin/openssl'].some(existsSync)

t.test('HTTPS works under a private authority', { skip: isMissing && 'needs openssl' }, async (t) => {
  const folder = t.testdir({})
  const { caFile, certify } = await makeAuthority(folder, '127.0.0.1')
  const [first, second] = [await certify('first'), await certify('second')]
  const tls = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
  const install = (files: typeof tls): void => {
    copyFileSync(files.key, tls.key)
    copyFileSync(files.cert, tls.cert)
  }
  install(first)
  const controller = await startRealController(t, { tls })
  const { port } = new URL(controller.url)
  const runCli = (args: string[], env: Record<string, string>) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const settings = {
        PATH: process.env['PATH'],
        LONGSHORE_URL: controller.url,
        LONGSHORE_TOKEN: controller.token
      }
      const child = execFile(
        process.execPath,
        [cli, ...args],
        { env: { ...settings, ...env } },
        (_e, out, err) => resolve({ code: child.exitCode ?? -1, out, err })
      )
    })
  const nameNow = (): Promise<PeerCertificate['subject']> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().subject)
        socket.destroy()
      })
      socket.on('error', reject)
    })

  const getText = (path: string, headers: Record<string, string>): Promise<string> =>
    new Promise((resolve, reject) => {
      const asked = request(
        { port, host: '127.0.0.1', path, headers, rejectUnauthorized: false },
        (answer) => {
          let text = ''
          answer.on('data', (part) => {
            text += part
          })
          answer.on('end', () => resolve(text))
        }
      )
      asked.on('error', reject)
      asked.end()
    })

  await t.test('the CLI trusts it only when told', async (t) => {
    t.match(controller.url, /^https:/)
    t.match(await runCli(['environments', 'create', 'staging'], { LONGSHORE_CA_FILE: caFile }), {
      code: 0,
      out: 'staging\n'
    })
    const refused = await runCli(['environments', 'list'], {})
    t.match(refused, { code: 7, err: /certificate[\s\S]*LONGSHORE_CA_FILE/ })
  })
  await t.test('a session opens over it', async (t) => {
    const ca = readFileSync(caFile)
    const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/agents/session`, subprotocol, {
      ca,
      headers: { authorization: 'Bearer garbage' }
    })
    const status = await new Promise((resolve, reject) => {
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode))
      socket.on('error', reject)
    })
    t.equal(status, 400, 'it came to the controller, which did not like the assertion')
  })
  await t.test('a new certificate is used for new connections, half of one is not', async (t) => {
    t.match(await nameNow(), { CN: 'first' })
    writeFileSync(tls.cert, 'half')
    copyFileSync(second.key, tls.key)
    t.match(await nameNow(), { CN: 'first' })
    copyFileSync(second.cert, tls.cert)
    await waitUntil('the new certificate', async () => (await nameNow()).CN === 'second')
    const ends = Date.parse(new X509Certificate(readFileSync(second.cert)).validTo) / 1000
    const metrics = await getText('/metrics', { authorization: `Bearer ${controller.token}` })
    t.match(metrics, `\nlongshore_certificate_expiry_timestamp_seconds ${ends}\n`)
    t.match(await runCli(['environments', 'list'], { LONGSHORE_CA_FILE: caFile }), {
      code: 0,
      out: /staging/
    })
  })
  await t.test('plain HTTP is not spoken on the port', async (t) => {
    await t.rejects(fetch(`http://127.0.0.1:${port}/healthz`))
    const status = await new Promise((resolve, reject) => {
      const asked = request(
        { port, host: '127.0.0.1', path: '/healthz', rejectUnauthorized: false },
        (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        }
      )
      asked.on('error', reject)
      asked.end()
    })
    t.equal(status, 200)
  })
})
