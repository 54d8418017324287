// Migration from docker run on real parts: which options there are, and the first take-over of a container that docker run
// started, with its way back.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findOption, findShorthand } from '../../packages/controller/src/cli/import/docker-options.ts'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { type Fleet, type FleetHost, startFleet } from '../support/fleet.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

type Inspected = {
  Id: string
  HostConfig: { RestartPolicy: { Name: string } }
  Mounts: { Name?: string }[]
  State: { Running: boolean }
}

const inspect = ({ engine }: FleetHost, name: string): Promise<Inspected> =>
  engine.client.get<Inspected>(`/containers/${name}/json`)

/** By a shell and the docker program, as a person does. @returns the id */
const runAsWritten = async ({ engine }: FleetHost, line: string): Promise<string> => {
  const env = { ...process.env, DOCKER_HOST: engine.dockerHost }
  return (await runCommand('/bin/sh', ['-c', line.replace(/^sudo /, '')], { env })).trim()
}

const expectDone = async (fleet: Fleet, ...args: string[]): Promise<void> => {
  const { exitCode, stderr } = await fleet.controller.cli(...args)
  if (exitCode !== 0) throw new Error(`longshore ${args[0]} ended with ${exitCode}: ${stderr}`)
}

const takeOver = async (t: Test, fleet: Fleet): Promise<void> => {
  const [host] = fleet.hosts
  if (host === undefined) throw new Error('no host')
  const folder = makeTestFolder(t)
  await fleet.push('v1')
  await fleet.push('v2')
  await fleet.push('dead', 'exits')
  const line = `docker run --detach --name legacy --volume /kept --publish 80:8888 --env NODE_ENV=staging --restart=always ${fleet.registry.name}/web:v1`
  const id = await runAsWritten(host, line)
  await waitUntil('the old one to serve', async () => (await fleet.pages())[0] === 'v1')
  const imported = await fleet.controller.cli('import', 'docker-run', line.replace('--name legacy', ''))
  writeFileSync(join(folder, 'web.yaml'), imported.stdout)
  await expectDone(fleet, 'environments', 'set', 'test', '--sources', 'default')
  await expectDone(fleet, 'apply', '-f', join(folder, 'web.yaml'), '--env', 'test')
  const { Mounts } = await inspect(host, 'legacy')

  t.equal((await fleet.deploy('v2')).exitCode, 4, 'without --replace the port is taken')
  const failed = await fleet.deploy('dead', '--replace', 'legacy')
  t.match(failed, { exitCode: 1, document: { outcome: 'reverted' } }, failed.stderr)
  t.match(await inspect(host, 'legacy'), {
    Id: id,
    State: { Running: true },
    HostConfig: { RestartPolicy: { Name: 'always' } }
  })
  t.same(await fleet.pages(), ['v1'])
  const taken = await fleet.deploy('v2', '--replace', 'legacy')
  t.match(taken, { exitCode: 0, document: { outcome: 'succeeded' } }, taken.stderr)
  t.same(await fleet.pages(), ['v2'])
  await waitUntil('the old one to be removed', async () => {
    const all = await host.engine.client.get<{ Id: string }[]>('/containers/json?all=true')
    return all.every(({ Id }) => Id !== id)
  })
  const volume = `/volumes/${Mounts[0]?.Name ?? ''}`
  t.match(
    await host.engine.client.get(volume),
    { Name: Mounts[0]?.Name },
    'what it had stored is still there'
  )
}

testOnRealParts(t, 'what docker run started is taken over', async (t) => {
  const fleet = await startFleet(t, 1)
  await t.test('every option of the docker program is known', async (t) => {
    const help = await runCommand('docker', ['run', '--help'])
    const options = [...help.matchAll(/^ {2,6}(?:-(\w), )?--([a-z0-9-]+) ?(\S*)/gm)]
    t.ok(options.length > 90, `${String(options.length)} options`)
    for (const [, letter, name = '', type] of options) {
      t.equal(findOption(name)?.option.isFlag, type === '', name)
      if (letter !== undefined) t.equal(findShorthand(letter)?.name, name, `-${letter}`)
    }
  })
  await t.test('a container of docker run is taken over, and serves again when that fails', (t) =>
    takeOver(t, fleet)
  )
})
