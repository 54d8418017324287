// How soon the programs are of use, and what the agent costs a host while nothing happens: agent from its start
// until it is connected and its private memory idle, controller until /readyz answers, `longshore version`. Both
// from their bundles.
import { mkdtempSync, readFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { bundlePrograms } from '../scripts/bundle.ts'
import { startHosts } from '../scripts/hosts/hosts.ts'
import { bundledPrograms, initController, startAgent, startController } from '../scripts/hosts/programs.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { measureMs, median } from './measure.ts'

const rounds = Number(process.argv[2] ?? 9)
/** After this long the agent has told its inventory and collected what its start left. */
const idleMs = 10_000
const connectedLine = /"msg":"connected"/
const endings: (() => Promise<unknown>)[] = []

/** Memory that ends with the process, MiB (proc_pid_smaps_rollup(5)). */
const privateMebibytes = (pid: number): number => {
  const rows = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').matchAll(/^Private_\w+: +(\d+) kB$/gm)
  return [...rows].reduce((sum, [, kilobytes]) => sum + Number(kilobytes), 0) / 1024
}

const run = async (folder: string): Promise<void> => {
  const programs = bundledPrograms(join(folder, 'out'))
  await bundlePrograms(join(folder, 'out'))
  const { hosts, network, remove } = await startHosts(folder, 1)
  endings.push(remove)
  const [host] = hosts
  if (host === undefined) throw new Error('no host')

  const dataFolder = join(folder, 'controller')
  const controllerOptions = { dataFolder, address: network.address, program: programs.cli }
  const token = await initController(dataFolder)
  const controllerMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    controllerMs.push(
      await measureMs(async () => {
        const started = await startController(controllerOptions, token)
        endings.push(() => started.stop())
      })
    )
    await endings.pop()?.()
  }
  const controller = await startController(controllerOptions, token)
  endings.push(() => controller.stop())

  const versionMs: number[] = []
  for (let round = 0; round < rounds; round++)
    versionMs.push(await measureMs(() => controller.cli('version')))

  await controller.cli('environments', 'create', 'bench')
  const { stdout } = await controller.cli('join-token', 'create', '--env', 'bench')
  const agent = await startAgent({
    name: host.name,
    dataFolder: join(folder, 'agent'),
    controllerUrl: controller.url,
    joinToken: stdout.trim(),
    dockerHost: host.engine.dockerHost,
    enter: host.enter,
    program: programs.agent,
    // as in Dockerfile.agent and the systemd unit
    env: { NODE_OPTIONS: '--max-semi-space-size=1', NODE_COMPILE_CACHE: join(folder, 'compile-cache') }
  })
  endings.push(() => agent.stop())
  await agent.process.waitForLine(connectedLine)
  const agentMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    await agent.stop()
    agentMs.push(
      await measureMs(async () => {
        await agent.start()
        await agent.process.waitForLine(connectedLine)
      })
    )
  }
  await pause(idleMs)
  console.log(`medians of ${rounds} starts, load average ${loadavg()[0]?.toFixed(1)}`)
  console.log(`agent, start until connected         ${median(agentMs).toFixed(0)} ms`)
  console.log(`agent, private memory idle           ${privateMebibytes(agent.process.pid).toFixed(1)} MiB`)
  console.log(`controller, start until /readyz is 200 ${median(controllerMs).toFixed(0)} ms`)
  console.log(`longshore version                    ${median(versionMs).toFixed(0)} ms`)
}

const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
try {
  await run(folder)
} finally {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
  await removeFolder(folder)
}
