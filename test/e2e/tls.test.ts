// The set-up of real hosts in README: the controller speaks HTTPS with a certificate of a private authority, agent
// and command line are told of the authority, and none of them is allowed plain HTTP.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Authority, makeAuthority } from '../support/authority.ts'
import { cliMain } from '../support/cli-process.ts'
import { startTestHost } from '../support/engine.ts'
import { makeWebImage, webPort } from '../support/images.ts'
import { type CliResult, runCli, startProcess, startTestAgent } from '../support/processes.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { startTestRegistry } from '../support/registry.ts'

/** What the test's own programs set for networks without TLS is taken back. */
const noPlaintext = { LONGSHORE_ALLOW_PLAINTEXT: '' }

type Cli = (...args: string[]) => Promise<CliResult>

/** Founds a controller and starts it at ADDRESS:7300; its URL, and the command line with its first token. */
const startTlsController = async (
  t: Test,
  folder: string,
  address: string,
  { caFile, certify }: Authority
): Promise<{ url: string; cli: Cli }> => {
  const { cert, key } = await certify('controller')
  const data = join(folder, 'controller')
  const founded = await runCli(['controller', 'init', '--data', data], noPlaintext)
  t.equal(founded.exitCode, 0, founded.stderr)
  const listen = ['--listen', `${address}:7300`, '--tls-cert', cert, '--tls-key', key]
  const controller = await startProcess({
    name: 'controller',
    file: process.execPath,
    args: [cliMain, 'controller', 'start', '--data', data, ...listen],
    env: { PATH: process.env['PATH'] }
  })
  t.teardown(() => controller.stop())
  const url = `https://${address}:7300`
  await controller.waitForLine(new RegExp(`^listening on ${url}$`))
  const env = {
    ...noPlaintext,
    LONGSHORE_URL: url,
    LONGSHORE_TOKEN: founded.stdout.trim(),
    LONGSHORE_CA_FILE: caFile
  }
  return { url, cli: (...args) => runCli(args, env) }
}

testOnRealParts(t, 'over TLS a host registers, is deployed to twice, and goes back', async (t) => {
  const folder = makeTestFolder(t)
  const { network, ...host } = await startTestHost(t)
  const registry = await startTestRegistry(t, network.address)
  const authority = await makeAuthority(folder, network.address)
  const { url, cli } = await startTlsController(t, folder, network.address, authority)
  const expectDone = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await cli(...args)
    if (exitCode !== 0) throw new Error(`longshore ${args.join(' ')} ended with ${exitCode}: ${stderr}`)
    return stdout.trim()
  }
  const page = async (): Promise<string> => (await (await fetch(`http://${host.address}/`)).text()).trim()

  await expectDone('environments', 'create', 'staging')
  const agent = await startTestAgent(t, {
    name: host.name,
    controllerUrl: url,
    joinToken: await expectDone('join-token', 'create', '--env', 'staging', '--ttl', '1h'),
    dockerHost: host.engine.dockerHost,
    enter: host.enter,
    env: noPlaintext
  })
  await t.test('an agent that does not know the authority does not register', async (t) => {
    t.match(await agent.process.waitForLine(/not registered yet/), /certificate/)
    await agent.stop()
    t.equal(await expectDone('agents', '--output', 'json'), '[]')
  })
  await t.test('one that knows it does', async () => {
    await agent.start({ LONGSHORE_CA_FILE: authority.caFile })
    await agent.process.waitForLine(/"msg":"connected"/)
  })
  const file = join(folder, 'web.yaml')
  const web = {
    image: `${registry.name}/web`,
    ports: [`80:${webPort}`],
    deploy: { update_config: { monitor: '300ms' } }
  }
  writeFileSync(file, JSON.stringify({ services: { web } }))
  await expectDone('apply', '-f', file, '--env', 'staging')
  for (const tag of ['v1', 'v2']) {
    await registry.push('web', tag, makeWebImage(tag))
    await expectDone('deploy', 'web', '--env', 'staging', '--tag', tag)
    t.equal(await page(), tag, `${tag} answers`)
  }
  await expectDone('rollback', 'web', '--env', 'staging')
  t.equal(await page(), 'v1', 'the rollback brings v1 back')
})
