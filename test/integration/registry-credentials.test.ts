// A host without any login of its own fetches from a registry that asks who is there, with what somebody gave to the
// controller; and the password is found nowhere afterwards.
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startRegistry } from '../../scripts/hosts/registry.ts'
import { startFleet } from '../support/fleet.ts'
import { startGuardedRegistry } from '../support/guarded-registry.ts'
import { makeWebImage } from '../support/images.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'

const password = 'a-password-that-is-nowhere-else'
const account = 'puller:$2y$04$.Ibgx7jOFBbj.kgNwaDlg.AQjYKcQbuC6BS2a/Wbdz9Ef7K2ebNqW'

/** As it is, and as it would look in Basic authentication and in JSON that is base64, whatever stands before it. */
const disguises = (): string[] => {
  const encoded = [0, 1, 2].map((shift) => {
    const text = Buffer.from(`${'x'.repeat(shift)}${password}`).toString('base64')
    // the first and last characters depend on their neighbours
    return text.slice(shift === 0 ? 0 : 4, -4)
  })
  return [password, ...encoded]
}
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())

testOnRealParts(t, 'credentials that the controller keeps', async (t) => {
  const folder = makeTestFolder(t)
  const helpers = makeTestFolder(t)
  const before = process.env['PATH']
  process.env['PATH'] = `${helpers}:${before}`
  t.teardown(() => {
    process.env['PATH'] = before
  })
  const fleet = await startFleet(t, 1, {
    agentEnv: { HOME: makeTestFolder(t), LONGSHORE_LOG_LEVEL: 'trace' }
  })
  const { controller, hosts } = fleet
  const [address = ''] = fleet.registry.name.split(':')
  const open = await startRegistry(folder, address, 5002)
  t.teardown(() => open.stop())
  const digests: Record<string, string> = {}
  for (const tag of ['v1', 'v2', 'v3', 'v4'])
    digests[tag] = await open.push('web', tag, makeWebImage(tag, 'unchecked'))
  const guarded = `${address}:5001`
  const registry = await startGuardedRegistry(t, {
    address: guarded,
    account,
    content: join(folder, 'content')
  })
  await fleet.apply({ image: `${guarded}/web` })

  const told: string[] = []
  const cli = async (...args: string[]) => {
    const result = await controller.cli(...args)
    told.push(result.stdout, result.stderr)
    return result
  }
  const deploy = async (tag: string) => {
    const result = await fleet.deploy(tag)
    told.push(JSON.stringify(result))
    return result
  }
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, `${password}\n`)

  await t.test('without them the registry lets the host in by nothing', async (t) => {
    t.match(await deploy('v1'), {
      exitCode: 4,
      document: { outcome: 'refused', reason: /does not let this host in/ }
    })
  })

  await t.test('after a login the same deployment succeeds', async (t) => {
    const login = ['registry', 'login', guarded, '--username', 'puller', '--password-file', passwordFile]
    t.match(await cli(...login), { exitCode: 0 })
    const { document } = await controller.cliJson<object[]>('registry', 'list')
    t.match(document, [{ host: guarded, username: 'puller', helper: null }])
    told.push(JSON.stringify(document))
    const result = await deploy('v1')
    t.match(result, { exitCode: 0, document: { outcome: 'succeeded' } }, JSON.stringify(result))
    t.same(await fleet.pages(), ['v1'])
  })

  await t.test('a helper of the controller takes the place of the password', async (t) => {
    const helper = 'docker-credential-test'
    const login = ['registry', 'login', guarded, '--helper', helper]
    t.match(await cli(...login), { exitCode: 4, stderr: /not in the controller's PATH/ })
    const answer = JSON.stringify({ ServerURL: guarded, Username: 'puller', Secret: password })
    const script = `#!/bin/sh\nread -r server\n[ "$1 $server" = "get ${guarded}" ] && echo '${answer}'\n`
    writeFileSync(join(helpers, 'docker-credential-test2'), script)
    chmodSync(join(helpers, 'docker-credential-test2'), 0o755)
    t.match(await cli(...login.with(-1, `${helper}2`)), { exitCode: 0 })
    const result = await deploy('v2')
    t.match(result, { exitCode: 0, document: { outcome: 'succeeded' } }, JSON.stringify(result))
    t.same(await fleet.pages(), ['v2'])
  })

  await t.test('a logout takes them away', async (t) => {
    t.match(await cli('registry', 'logout', guarded), { exitCode: 0 })
    t.match(await deploy('v3'), { exitCode: 4, document: { outcome: 'refused' } })
    t.match(await cli('registry', 'logout', guarded), { exitCode: 2, stderr: /no credentials/ })
    t.match(
      await cli('registry', 'login', guarded, '--username', 'puller', '--password-file', passwordFile),
      {
        exitCode: 0
      }
    )
  })

  await t.test('an agent that is killed in the middle gets them again, and goes on', async (t) => {
    const [host] = hosts
    if (host === undefined) throw new Error('there is no host')
    // it takes connections, and answers nothing
    registry.signal('SIGSTOP')
    const command = ['deploy', 'web', '--env', 'test', '--digest', digests['v4'] ?? '', '--output', 'ndjson']
    const deployment = await controller.startCli(...command)
    await deployment.waitForLine(/fetch-image/)
    await host.agent.kill()
    registry.signal('SIGCONT')
    await host.agent.start()
    t.match(await deployment.ended, { exitCode: 0 }, deployment.output)
    told.push(deployment.output)
    t.same(await fleet.pages(), ['v4'])
  })

  await t.test('the password is in no file, no log and no answer', async (t) => {
    const folders = [controller.dataFolder, ...hosts.map(({ agent }) => agent.dataFolder)]
    const files = folders.flatMap(filesBelow)
    t.ok(files.some((path) => path.endsWith('sealing-key.json')))
    t.ok(files.some((path) => path.endsWith('journal.sqlite')))
    const logs = [controller, ...hosts.map(({ agent }) => agent)].map((one) => one.process.output)
    t.ok(
      logs.every((log) => log.length > 100),
      'there are logs'
    )
    const places = [
      ...files.map((path): [string, string] => [path, readFileSync(path, 'latin1')]),
      ...logs.map((log): [string, string] => ['a log', log]),
      ...told.map((text): [string, string] => ['an answer', text])
    ]
    for (const [name, content] of places)
      for (const text of disguises()) if (content.includes(text)) t.fail(`the password is in ${name}`)
    t.ok(disguises().every((text) => text.length > 20))
    t.ok(
      Buffer.from(`puller:${password}`)
        .toString('base64')
        .includes(disguises()[2] ?? ''),
      'it would be found'
    )
  })
})
