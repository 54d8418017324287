// What a whole `longshore deploy` costs over the Engine API calls that it cannot avoid: the same engine, image
// contents and options, both in turns, medians. The health rule is in both; `monitor` is 0.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundlePrograms } from '../scripts/bundle.ts'
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
import { stageDirectly, switchOver } from './switch-directly.ts'

const rounds = Number(process.argv[2] ?? 9)
const endings: (() => Promise<unknown>)[] = []

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
    const directMs = await measureMs(async () => {
      const image = await stageDirectly(host.engine.client, `${registry.name}/direct`, tag)
      await switchOver(host.engine.client, image, tag)
    })
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
