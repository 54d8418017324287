// A whole installation for a benchmark: hosts with engines, a registry, the controller and an agent on each host, from
// their bundles. Everything ends with the work that was given, and its folder goes.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
import { type Registry, startRegistry } from '../scripts/hosts/registry.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { waitUntil } from '../scripts/hosts/wait-until.ts'

export type Installation = {
  folder: string
  hosts: readonly Host[]
  registry: Registry
  controller: Controller
  /** Done at the end, last one first. */
  endings: (() => Promise<unknown>)[]
}

/** @param environments of each host; they are made */
export const withInstallation = async (
  environments: readonly string[],
  work: (installation: Installation) => Promise<void>
): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
  const endings: Installation['endings'] = []
  try {
    const { hosts, network, remove } = await startHosts(folder, environments.length)
    endings.push(remove)
    const registry = await startRegistry(join(folder, 'registry'), network.address)
    endings.push(() => registry.stop())
    const programs = bundledPrograms(join(folder, 'out'))
    await bundlePrograms(join(folder, 'out'))
    const dataFolder = join(folder, 'controller')
    const token = await initController(dataFolder)
    const controller = await startController(
      { dataFolder, address: network.address, program: programs.cli },
      token
    )
    endings.push(() => controller.stop())
    for (const name of new Set(environments)) await controller.cli('environments', 'create', name)
    for (const [index, host] of hosts.entries()) {
      const { stdout } = await controller.cli('join-token', 'create', '--env', environments[index] ?? '')
      const agent = await startAgent({
        name: host.name,
        dataFolder: join(folder, `agent-${host.name}`),
        controllerUrl: controller.url,
        joinToken: stdout.trim(),
        dockerHost: host.engine.dockerHost,
        enter: host.enter,
        program: programs.agent
      })
      endings.push(() => agent.stop())
    }
    await waitUntil('the agents', async () => {
      const { document } = await controller.cliJson<{ state: string }[]>('agents')
      return document.length === hosts.length && document.every(({ state }) => state === 'connected')
    })
    await work({ folder, hosts, registry, controller, endings })
  } finally {
    for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
    await removeFolder(folder)
  }
}
