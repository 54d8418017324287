// What it costs that HAProxy brings the traffic, and how fast it is moved: the switch by itself, whole deployments
// under load, and the published port compared with the one that Docker publishes itself, in the same run.
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import type { EngineClient } from '../scripts/hosts/engine-client.ts'
import type { Host } from '../scripts/hosts/hosts.ts'
import { loadImage } from '../scripts/hosts/image.ts'
import { runCommand } from '../scripts/hosts/run-command.ts'
import { httpPort, machineVolumes, makeAppImage } from '../test/support/load/app-image.ts'
import { startLoad } from '../test/support/load/start-load.ts'
import { type Installation, withInstallation } from './installation.ts'
import { median } from './measure.ts'
import type { SwitchOrder, SwitchTimes } from './switch-traffic.ts'
import type { PortUse } from './use-port.ts'

const rounds = Number(process.argv[2] ?? 9)
const switches = 50
/** One measurement of a port. */
const useMs = 2000
const ports = { plain: 80, pooled: 81, direct: 82, switched: 83 } as const

const runHere = async <T>(host: Host | null, program: string, ...args: string[]): Promise<T> => {
  const file = resolve(import.meta.dirname, program)
  const [command = '', ...rest] = [...(host?.enter ?? []), process.execPath, file, ...args]
  return JSON.parse(await runCommand(command, rest, { timeoutMs: 300_000 })) as T
}

/** Runs a version directly, published by Docker or not at all; its id and address. */
const runDirectly = async (
  client: EngineClient,
  version: string,
  published: number | null
): Promise<{ id: string; address: string; version: string }> => {
  await loadImage(client, `direct:${version}`, await makeAppImage(version))
  const { Id } = await client.post<{ Id: string }>(`/containers/create?name=direct-${version}`, {
    Image: `direct:${version}`,
    HostConfig: {
      Binds: machineVolumes,
      ...(published !== null && {
        PortBindings: { [`${httpPort}/tcp`]: [{ HostPort: String(published) }] }
      })
    }
  })
  await client.post(`/containers/${Id}/start`)
  const { NetworkSettings } = await client.get<{ NetworkSettings: { IPAddress: string } }>(
    `/containers/${Id}/json`
  )
  return { id: Id, address: NetworkSettings.IPAddress, version }
}

const measureSwitches = async (folder: string, host: Host): Promise<void> => {
  const containers: SwitchOrder['containers'] = [
    await runDirectly(host.engine.client, 'one', null),
    await runDirectly(host.engine.client, 'two', null)
  ]
  mkdirSync(folder)
  const order: SwitchOrder = {
    folder,
    published: ports.switched,
    target: httpPort,
    containers,
    rounds: switches
  }
  const { callMs, effectiveMs } = await runHere<SwitchTimes>(host, 'switch-traffic.ts', JSON.stringify(order))
  const tell = (name: string, values: number[]): void =>
    console.log(
      `${name.padEnd(34)} ${median(values).toFixed(1)} ms, at most ${Math.max(...values).toFixed(0)}`
    )
  tell(`switch call, ${switches} switches`, callMs)
  tell('first answer by the new version', effectiveMs)
}

type Deployed = {
  targets: { traffic?: { switchMs: number; drainMs: number | null } }[]
}

const measureDeployments = async (
  { controller, registry, endings }: Installation,
  address: string
): Promise<void> => {
  const deploy = async (tag: string): Promise<Deployed> => {
    await registry.push('app', tag, await makeAppImage(tag))
    const { exitCode, document, stderr } = await controller.cliJson<Deployed>(
      ...['deploy', '--services', 'plain,pooled', '--env', 'bench', '--tag', tag]
    )
    if (exitCode !== 0) throw new Error(stderr)
    return document
  }
  await deploy('v0')
  const load = await startLoad(
    { teardown: (end) => endings.push(async () => end()) },
    {
      url: `http://${address}:${ports.plain}`,
      secure: null,
      line: null,
      clients: { get: 3, 'get-fresh': 3, post: 2, slow: 3, upload: 2, stream: 2 }
    }
  )
  const [switchMs, drainMs]: [number[], number[]] = [[], []]
  for (let round = 1; round <= rounds; round++) {
    const { traffic } = (await deploy(`v${round}`)).targets[0] ?? {}
    if (traffic === undefined) throw new Error('no traffic was moved')
    switchMs.push(traffic.switchMs)
    drainMs.push(traffic.drainMs ?? Number.NaN)
  }
  const { answered, failed } = await load.stop()
  console.log(
    `${`${rounds} deployments under load`.padEnd(34)} switched in ${median(switchMs).toFixed(1)} ms, drained in ` +
      `${median(drainMs).toFixed(0)} ms, ${failed} of ${answered} requests failed`
  )
}

const measurePorts = async (host: Host): Promise<void> => {
  await runDirectly(host.engine.client, 'published', ports.direct)
  const names = ['direct', 'plain', 'pooled'] as const
  for (const [place, where, address] of [
    ['on the host itself (docker-proxy)', host, '127.0.0.1'],
    ['from another machine', null, host.address]
  ] as const) {
    const uses = { direct: [], plain: [], pooled: [] } as Record<(typeof names)[number], [PortUse, PortUse][]>
    for (let round = 0; round < Math.min(rounds, 5); round++) {
      // in turns, so that a busy machine slows all of them
      for (const name of names) {
        const use = (clients: number): Promise<PortUse> =>
          runHere(where, 'use-port.ts', address, String(ports[name]), String(clients), String(useMs))
        uses[name].push([await use(1), await use(16)])
      }
    }
    console.log(`port used ${place}:`)
    const rateOf = (name: (typeof names)[number]): number =>
      median(uses[name].map(([, { perSecond }]) => perSecond))
    for (const name of names) {
      const [p50, p99] = [
        median(uses[name].map(([{ p50Ms }]) => p50Ms)),
        median(uses[name].map(([{ p99Ms }]) => p99Ms))
      ]
      console.log(
        `  ${labels[name].padEnd(32)} c=1 p50 ${(p50 * 1000).toFixed(0)} µs, p99 ${p99.toFixed(1)} ms; c=16 ` +
          `${rateOf(name).toFixed(0)} a second, ratio ${(rateOf(name) / rateOf('direct')).toFixed(2)}`
      )
    }
  }
}
const labels = {
  direct: 'published by Docker',
  plain: 'HAProxy',
  pooled: 'HAProxy, pooling on'
} as const

const run = async (installation: Installation): Promise<void> => {
  const { folder, hosts, registry, controller } = installation
  const [host] = hosts
  if (host === undefined) throw new Error('no host')
  const serviceOn = (published: number, longshore: object): object => ({
    image: `${registry.name}/app`,
    volumes: machineVolumes,
    ports: [`${published}:${httpPort}`],
    deploy: { update_config: { order: 'start-first', monitor: '0s' } },
    'x-longshore': { probe: { http: { path: '/health' }, interval: '100ms' }, ...longshore }
  })
  const services = {
    plain: serviceOn(ports.plain, {}),
    pooled: serviceOn(ports.pooled, { pooling: true })
  }
  const file = join(folder, 'services.json')
  writeFileSync(file, JSON.stringify({ services }))
  const applied = await controller.cli('apply', '-f', file, '--env', 'bench')
  if (applied.exitCode !== 0) throw new Error(applied.stderr)
  console.log(`medians, load average ${loadavg()[0]?.toFixed(1)}`)
  await measureSwitches(join(folder, 'switched'), host)
  await measureDeployments(installation, host.address)
  await measurePorts(host)
}

await withInstallation(['bench'], run)
