// Migration from docker run: command lines of real projects are started as they are, imported, deployed by real
// controller, agent and CLI, and both containers compared as Docker inspects them. What may differ stands in
// `comparable`. Then the first take-over, with its way back.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findOption, findShorthand } from '../../packages/controller/src/cli/import/docker-options.ts'
import { readServiceFiles, type ServiceSpec } from '../../packages/protocol/src/spec/index.ts'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { busyboxPath } from '../../scripts/hosts/web-image.ts'
import { runCommandOf } from '../support/cli-unit.ts'
import { type DockerRunLine, dockerRunLines } from '../support/docker-run-lines.ts'
import { type Fleet, type FleetHost, startFleet } from '../support/fleet.ts'
import { type Image, loadImage, makeImage } from '../support/images.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { startSyslogReceiver } from '../support/syslog.ts'
import { waitUntil } from '../support/wait.ts'

/** `LONGSHORE_PROOF=1`, `npm run proof:import`: every line; without it every fifth. */
const isProof = process.env['LONGSHORE_PROOF'] === '1'

type Inspected = {
  Id: string
  Name: string
  Config: {
    Hostname: string
    Image: string
    Labels: Record<string, string>
    StopTimeout?: number
    Env: string[] | null
  }
  HostConfig: {
    NetworkMode: string
    PortBindings: Record<string, { HostPort: string }[]>
    RestartPolicy: { Name: string }
    Ulimits: { Name: string }[] | null
    CapAdd: string[] | null
    CapDrop: string[] | null
  }
  Mounts: { Type: string; Name?: string; Destination: string; Mode: string }[]
  NetworkSettings: { Ports: Record<string, { HostPort: string }[] | null>; Networks: object }
  State: { Running: boolean }
  Path: string
  Args: string[]
  AppArmorProfile: string
}

/** Runs, whatever the command is, until it is told to stop; the program of the health check says yes. */
const makeStandIn = (): Image => {
  const program = (path: string, content: Buffer) =>
    ({ type: 'file', path, content, isExecutable: true }) as const
  const sleep = '#!/bin/sh\ntrap "exit 0" TERM INT QUIT\n/bin/busybox sleep 100000 &\nwait\n'
  const files = [
    { type: 'folder', path: 'bin/' } as const,
    program('bin/busybox', readFileSync(busyboxPath)),
    { type: 'symlink', path: 'bin/sh', target: 'busybox' } as const,
    program('bin/docker-entrypoint', Buffer.from(sleep)),
    program('bin/curl', Buffer.from('#!/bin/sh\nexit 0\n'))
  ]
  return makeImage([files], {
    Entrypoint: ['/bin/docker-entrypoint'],
    Cmd: ['serve'],
    ExposedPorts: { '80/tcp': {} }
  })
}

const inspect = ({ engine }: FleetHost, name: string): Promise<Inspected> =>
  engine.client.get<Inspected>(`/containers/${name}/json`)

/** What docker run and Docker leave to chance or say in two ways, said in one; everything else has to be the same. */
const comparable = (one: Inspected): unknown => {
  const { Config, HostConfig, Mounts, NetworkSettings, Path, Args, AppArmorProfile } = one
  const isOurs = (label: string) => label.startsWith('longshore.')
  const { Binds: _binds, Mounts: _mounts, ...host } = { Binds: [], Mounts: [], ...HostConfig }
  return withoutEmpty({
    Path,
    Args,
    AppArmorProfile,
    Config: {
      ...Config,
      // Longshore names content, docker run a tag
      Image: undefined,
      Hostname: one.Id.startsWith(Config.Hostname) ? 'made of the id' : Config.Hostname,
      Env: Config.Env?.toSorted(),
      // ten seconds are the engine's default, which Longshore writes down
      StopTimeout: Config.StopTimeout ?? 10,
      Labels: Object.fromEntries(Object.entries(Config.Labels).filter(([label]) => !isOurs(label)))
    },
    // the mounts as they came out are below; they may be asked for in two forms
    HostConfig: {
      ...host,
      NetworkMode: HostConfig.NetworkMode.replace(/^default$/, 'bridge'),
      // the engine takes the names with and without it, and keeps them as they came
      CapAdd: HostConfig.CapAdd?.map((name) => name.replace(/^CAP_/, '')),
      CapDrop: HostConfig.CapDrop?.map((name) => name.replace(/^CAP_/, '')),
      Ulimits: HostConfig.Ulimits?.toSorted((a, b) => a.Name.localeCompare(b.Name))
    },
    Mounts: Mounts.toSorted((a, b) => a.Destination.localeCompare(b.Destination)).map(
      // the words that it was asked with; `RW` and `Propagation` say what came of them
      ({ Mode: _mode, ...mount }) => mount
    ),
    Ports: Object.entries(NetworkSettings.Ports).map(([port, bindings]) => [
      port,
      HostConfig.PortBindings[port]?.some(({ HostPort }) => HostPort === '') ? bindings?.length : bindings
    ]),
    Networks: Object.keys(NetworkSettings.Networks)
  })
}

/** Docker says `null`, `[]`, `{}`, 0, false or '' for what nobody asked for, each where it likes. */
const withoutEmpty = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    const items = value.map(withoutEmpty)
    return items.some((item) => item !== undefined) ? items : undefined
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .map(([key, child]) => [key, withoutEmpty(child)] as const)
      .filter(([, child]) => child !== undefined)
    return entries.length > 0 ? Object.fromEntries(entries) : undefined
  }
  return value === '' || value === 0 || value === false || value === null ? undefined : value
}

/** By a shell and the docker program, as a person does. @returns the id */
const runAsWritten = async ({ engine }: FleetHost, line: string): Promise<string> => {
  const env = { ...process.env, DOCKER_HOST: engine.dockerHost }
  return (await runCommand('/bin/sh', ['-c', line.replace(/^sudo /, '')], { env })).trim()
}

type Wanted = DockerRunLine & { file: string; spec: ServiceSpec }

/** One image with the names of all these, on the host and at the registry, as if that were a mirror of all others. */
const bringImages = async ({ registry }: Fleet, { engine }: FleetHost, wanted: readonly Wanted[]) => {
  const image = makeStandIn()
  await loadImage(engine.client, 'stand-in:1', image)
  for (const { spec } of wanted) {
    const { repository, tag } = spec.image
    const names = new URLSearchParams({ repo: repository, tag: tag ?? 'latest' })
    await engine.client.post(`/images/stand-in:1/tag?${names}`)
    const path = repository.replace(/^[^/]*\.[^/]*\//, '')
    await registry.push(path.includes('/') ? path : `library/${path}`, tag ?? 'latest', image)
  }
}

const importAll = async (lines: readonly DockerRunLine[]): Promise<Wanted[]> => {
  const wanted: Wanted[] = []
  for (const one of lines) {
    const { out: file } = await runCommandOf({}, ['import', 'docker-run', one.line])
    const spec = Object.values(readServiceFiles([{ name: 'f', text: file }], { environment: {} }).services)[0]
    if (spec === undefined) throw new Error(`nothing was made of ${one.line}`)
    wanted.push({ ...one, file, spec })
  }
  return wanted
}

const expectDone = async (fleet: Fleet, ...args: string[]): Promise<void> => {
  const { exitCode, stderr } = await fleet.controller.cli(...args)
  if (exitCode !== 0) throw new Error(`longshore ${args[0]} ended with ${exitCode}: ${stderr}`)
}

const compareAll = async (t: Test, fleet: Fleet): Promise<void> => {
  const [host] = fleet.hosts
  if (host === undefined) throw new Error('no host')
  const folder = makeTestFolder(t)
  for (const name of ['html', 'redis', 'conf.d', 'docker', 'gitea', 'minio', 'homeassistant', 'dbus'])
    mkdirSync(join(folder, name))
  for (const name of ['prometheus.yml', 'traefik.yml', 'docker.sock']) writeFileSync(join(folder, name), '')
  const syslog = await startSyslogReceiver(t, new URL(fleet.controller.url).hostname)
  const lines = dockerRunLines({ folder, syslog: syslog.address })
  const wanted = await importAll(isProof ? lines : lines.filter((_, index) => index % 5 === 0))
  await bringImages(fleet, host, wanted)

  const begun = await Promise.allSettled(wanted.map(({ line }) => runAsWritten(host, line)))
  const ids = begun.map((one) => (one.status === 'fulfilled' ? one.value : ''))
  t.same(
    begun.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : [])),
    [],
    'every original starts'
  )
  if (ids.includes('')) return
  const originals = await Promise.all(ids.map((id) => inspect(host, id)))
  t.ok(
    originals.every(({ State }) => State.Running),
    'every original runs'
  )
  await Promise.all(ids.map((id) => host.engine.client.delete(`/containers/${id}?force=true`)))

  const fileOf = ({ service }: Wanted): string => join(folder, `${service}.yaml`)
  for (const one of wanted) writeFileSync(fileOf(one), one.file)
  const pace = { deploy: { update_config: { monitor: '0s' } } }
  const services = Object.fromEntries(wanted.map(({ service }) => [service, pace]))
  writeFileSync(join(folder, 'pace.yaml'), JSON.stringify({ services }))
  const files = (some: readonly Wanted[]) => some.flatMap((one) => ['-f', fileOf(one)])
  const untagged = (some: readonly Wanted[]) =>
    some.flatMap(({ service, spec }) => (spec.image.tag === null ? ['--tag', `${service}=latest`] : []))
  await expectDone(fleet, 'environments', 'set', 'test', '--sources', `mirror:${fleet.registry.name}`)
  await expectDone(fleet, 'apply', ...files(wanted), '-f', join(folder, 'pace.yaml'), '--env', 'test')
  // services of one deployment switch one after the other; several at once take less time
  const thirds = [0, 1, 2].map((third) => wanted.filter((_, index) => index % 3 === third))
  await Promise.all(
    thirds.map((some) => expectDone(fleet, 'deploy', ...files(some), '--env', 'test', ...untagged(some)))
  )

  for (const [index, { service, line, spec }] of wanted.entries()) {
    const original = originals[index]
    if (original === undefined) throw new Error(`${service} was not started`)
    const ours = await inspect(host, spec.containerName ?? `${service}-r1-0`)
    t.equal(ours.Config.Labels['longshore.service'], service)
    if (spec.containerName !== null) t.equal(ours.Name, original.Name)
    t.strictSame(comparable(ours), comparable(original), line)
  }
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

testOnRealParts(t, 'what docker run started is the same when Longshore deploys it', async (t) => {
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
  await t.test('command lines of projects as their pages have them, and that of Fabric', (t) =>
    compareAll(t, fleet)
  )
  await t.test('a container of docker run is taken over, and serves again when that fails', (t) =>
    takeOver(t, fleet)
  )
})
