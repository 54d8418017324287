// What a whole `longshore deploy` costs over the Engine API calls that it cannot avoid: the same engine, image
// contents and options, both in turns, medians. The health rule is in both; `monitor` is 0.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundlePrograms } from '../scripts/bundle.ts'
import type { EngineClient } from '../scripts/hosts/engine-client.ts'
import { type Host, startHosts } from '../scripts/hosts/hosts.ts'
import {
  bundledPrograms,
  type Controller,
  initController,
  startAgent,
  startController
} from '../scripts/hosts/programs.ts'
import { startRegistry } from '../scripts/hosts/registry.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { waitUntil } from '../scripts/hosts/wait-until.ts'
import { makeWebImage, webPort } from '../scripts/hosts/web-image.ts'
import { measureMs, median } from './measure.ts'

const rounds = Number(process.argv[2] ?? 9)
const endings: (() => Promise<unknown>)[] = []

const never = { RestartPolicy: { Name: 'no', MaximumRetryCount: 0 } }
const always = { RestartPolicy: { Name: 'always', MaximumRetryCount: 0 } }

/** What a careful script does: pin the tag's digest, pull it, create, stop the old, start, wait until healthy. */
const switchDirectly = async (client: EngineClient, repository: string, tag: string): Promise<void> => {
  const { Descriptor } = await client.get<{ Descriptor: { digest: string } }>(
    `/distribution/${repository}:${tag}/json`
  )
  const image = `${repository}@${Descriptor.digest}`
  await client.postRaw(
    `/images/create?${new URLSearchParams({ fromImage: image })}`,
    Buffer.alloc(0),
    'application/json'
  )
  await client.get(`/images/${image}/json`)
  await client.post(`/images/${image}/tag?${new URLSearchParams({ repo: 'kept/direct', tag })}`)
  const { Id } = await client.post<{ Id: string }>(`/containers/create?name=direct-${tag}`, {
    Image: image,
    HostConfig: { PortBindings: { [`${webPort}/tcp`]: [{ HostPort: '81' }] } }
  })
  const [old] = await client.get<{ Id: string }[]>('/containers/json?filters={"name":["direct"]}')
  if (old !== undefined) {
    await client.post(`/containers/${old.Id}/update`, never)
    await client.post(`/containers/${old.Id}/stop`)
  }
  await client.post(`/containers/${Id}/update`, always)
  await client.post(`/containers/${Id}/start`)
  await waitUntil('health', async () => {
    const { State } = await client.get<{ State: { Health: { Status: string } } }>(`/containers/${Id}/json`)
    return State.Health.Status === 'healthy'
  })
}

const startInstallation = async (folder: string, address: string, host: Host): Promise<Controller> => {
  const programs = bundledPrograms(join(folder, 'out'))
  await bundlePrograms(join(folder, 'out'))
  const dataFolder = join(folder, 'controller')
  const token = await initController(dataFolder)
  const controller = await startController({ dataFolder, address, program: programs.cli }, token)
  endings.push(() => controller.stop())
  await controller.cli('environments', 'create', 'bench')
  const { stdout } = await controller.cli('join-token', 'create', '--env', 'bench')
  const agent = await startAgent({
    name: host.name,
    dataFolder: join(folder, 'agent'),
    controllerUrl: controller.url,
    joinToken: stdout.trim(),
    dockerHost: host.engine.dockerHost,
    enter: host.enter,
    program: programs.agent
  })
  endings.push(() => agent.stop())
  await waitUntil('the agent', async () => (await controller.cli('agents')).stdout.includes('connected'))
  return controller
}

const run = async (folder: string): Promise<void> => {
  const { hosts, network, remove } = await startHosts(folder, 1)
  endings.push(remove)
  const [host] = hosts
  if (host === undefined) throw new Error('no host')
  const registry = await startRegistry(join(folder, 'registry'), network.address)
  endings.push(() => registry.stop())
  const controller = await startInstallation(folder, network.address, host)
  const file = join(folder, 'web.json')
  const web = {
    image: `${registry.name}/web`,
    ports: [`80:${webPort}`],
    restart: 'always',
    deploy: { update_config: { monitor: '0s' } }
  }
  writeFileSync(file, JSON.stringify({ services: { web } }))
  await controller.cli('apply', '-f', file, '--env', 'bench')
  const [direct, whole, start]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round <= rounds; round++) {
    const tag = `v${round}`
    await registry.push('web', tag, makeWebImage(`longshore ${tag}`))
    await registry.push('direct', tag, makeWebImage(`direct ${tag}`))
    const directMs = await measureMs(() => switchDirectly(host.engine.client, `${registry.name}/direct`, tag))
    const wholeMs = await measureMs(async () => {
      const { exitCode, stderr } = await controller.cli('deploy', 'web', '--env', 'bench', '--tag', tag)
      if (exitCode !== 0) throw new Error(stderr)
    })
    const startMs = await measureMs(() => controller.cli('version'))
    // The first of each has no old container to stop.
    if (round === 0) continue
    direct.push(directMs)
    whole.push(wholeMs)
    start.push(startMs)
  }
  const [a, b] = [median(direct), median(whole)]
  console.log(`medians of ${rounds} rounds, load average ${loadavg()[0]?.toFixed(1)}`)
  console.log(`Engine API directly  ${a.toFixed(0)} ms`)
  console.log(`longshore deploy     ${b.toFixed(0)} ms`)
  console.log(`ratio ${(b / a).toFixed(2)}, difference ${(b - a).toFixed(0)} ms`)
  console.log(`of which the start of the CLI (longshore version) ${median(start).toFixed(0)} ms`)
}

const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
try {
  await run(folder)
} finally {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
  await removeFolder(folder)
}
