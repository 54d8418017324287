// What a whole `longshore deploy` costs over the Engine API calls that it cannot avoid: the same engine, images and
// options, both in turns, medians. The health wait is in both; `monitor` is as short as it can be.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EngineClient } from '../scripts/hosts/engine-client.ts'
import { type Host, startHosts } from '../scripts/hosts/hosts.ts'
import { pullImage } from '../scripts/hosts/image.ts'
import { type Controller, initController, startAgent, startController } from '../scripts/hosts/programs.ts'
import { startRegistry } from '../scripts/hosts/registry.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { waitUntil } from '../scripts/hosts/wait-until.ts'
import { makeWebImage, webPort } from '../scripts/hosts/web-image.ts'

const rounds = 7
const endings: (() => Promise<unknown>)[] = []

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const measure = async (work: () => Promise<unknown>): Promise<number> => {
  const beginMs = performance.now()
  await work()
  return performance.now() - beginMs
}

/** Pull, create, stop the old, start the new, wait until healthy, remove the old: nothing else. */
const switchDirectly = async (client: EngineClient, repository: string, tag: string): Promise<void> => {
  await pullImage(client, repository, tag)
  const create = (name: string) =>
    client.post<{ Id: string }>(`/containers/create?name=${name}`, {
      Image: `${repository}:${tag}`,
      HostConfig: {
        PortBindings: { [`${webPort}/tcp`]: [{ HostPort: '81' }] },
        RestartPolicy: { Name: 'always' }
      }
    })
  const [old] = await client.get<{ Id: string }[]>('/containers/json?filters={"name":["direct"]}')
  const { Id } = await create(`direct-${tag}`)
  if (old !== undefined) await client.post(`/containers/${old.Id}/stop`)
  await client.post(`/containers/${Id}/start`)
  await waitUntil('health', async () => {
    const { State } = await client.get<{ State: { Health: { Status: string } } }>(`/containers/${Id}/json`)
    return State.Health.Status === 'healthy'
  })
  if (old !== undefined) await client.delete(`/containers/${old.Id}`)
}

const startInstallation = async (folder: string, address: string, host: Host): Promise<Controller> => {
  const dataFolder = join(folder, 'controller')
  const controller = await startController({ dataFolder, address }, await initController(dataFolder))
  endings.push(() => controller.stop())
  await controller.cli('environments', 'create', 'bench')
  const { stdout } = await controller.cli('join-token', 'create', '--env', 'bench')
  const agent = await startAgent({
    name: host.name,
    dataFolder: join(folder, 'agent'),
    controllerUrl: controller.url,
    joinToken: stdout.trim(),
    dockerHost: host.engine.dockerHost,
    enter: host.enter
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
  const [direct, whole]: [number[], number[]] = [[], []]
  for (let round = 0; round <= rounds; round++) {
    const tag = `v${round}`
    await registry.push('web', tag, makeWebImage(`longshore ${tag}`))
    await registry.push('direct', tag, makeWebImage(`direct ${tag}`))
    const directMs = await measure(() => switchDirectly(host.engine.client, `${registry.name}/direct`, tag))
    const wholeMs = await measure(async () => {
      const { exitCode, stderr } = await controller.cli('deploy', 'web', '--env', 'bench', '--tag', tag)
      if (exitCode !== 0) throw new Error(stderr)
    })
    // The first of each has no old container to stop.
    if (round === 0) continue
    direct.push(directMs)
    whole.push(wholeMs)
  }
  const [a, b] = [median(direct), median(whole)]
  console.log(
    `Engine API directly: ${a.toFixed(0)} ms, longshore deploy: ${b.toFixed(0)} ms (medians of ${rounds})`
  )
  console.log(`ratio ${(b / a).toFixed(2)}, difference ${(b - a).toFixed(0)} ms`)
}

const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
try {
  await run(folder)
} finally {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
  await removeFolder(folder)
}
