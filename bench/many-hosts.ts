// What a deployment costs the controller alone with many hosts: the real process with a session for each, hosts that
// answer at once (bench/answering-hosts.ts), so that what is left is the controller's own work.
// `node bench/many-hosts.ts [hosts] [rounds]`
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { bundlePrograms } from '../scripts/bundle.ts'
import {
  bundledPrograms,
  type Controller,
  initController,
  startController
} from '../scripts/hosts/programs.ts'
import { removeFolder } from '../scripts/hosts/remove-leftovers.ts'
import { runCommand } from '../scripts/hosts/run-command.ts'
import { waitUntil } from '../scripts/hosts/wait-until.ts'
import { askController } from './ask-controller.ts'
import { measureMs, median, residentMebibytes } from './measure.ts'

const hostCount = Number(process.argv[2] ?? 1000)
const rounds = Number(process.argv[3] ?? 3)
const port = 7391
/** Files besides the sessions that a process holds open. */
const spareFiles = 100
/** Less processor time than this in two seconds: it is idle. */
const quietMs = 100
const endings: (() => Promise<unknown>)[] = []

/** Processor time that a process has used so far, ms: user and system (proc_pid_stat(5); 100 ticks a second). */
const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const checkFileLimit = async (): Promise<void> => {
  // Node raises the soft limit to the hard one by itself.
  const limit = (await runCommand('bash', ['-c', 'ulimit -Hn'])).trim()
  if (limit !== 'unlimited' && Number(limit) < hostCount + spareFiles)
    throw new Error(
      `${hostCount} sessions need a hard limit of open files of ${hostCount + spareFiles}, not ${limit}`
    )
}

type Hosts = { frames(): Promise<number>; stop(): Promise<void> }

const startHosts = async (controller: Controller, joinToken: string): Promise<Hosts> => {
  const program = join(import.meta.dirname, 'answering-hosts.ts')
  const child = spawn(process.execPath, [program, controller.url, joinToken, '1', String(hostCount)], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const line = await lines.next()
    if (line.done === true) throw new Error('the hosts ended')
    return line.value
  }
  const ended = once(child, 'close')
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  endings.push(stop)
  await next()
  return {
    frames: async () => {
      child.stdin.write('\n')
      return Number((await next()).slice('frames='.length))
    },
    stop
  }
}

type Shown = { id: string; outcome: string | null; requestedAtMs: number; endedAtMs: number; reason: string }

/** Answers when the last host had switched. */
const deploy = async (controller: Controller, round: number): Promise<Shown> => {
  const digest = `sha256:${createHash('sha256').update(String(round)).digest('hex')}`
  const asked = { environment: 'bench', service: 'web', what: { by: 'digest', digest } }
  const { id } = await askController<Shown>(controller, '/v1/deployments', asked)
  const ended = await waitUntil(
    'the deployment to end',
    async () => {
      const [shown] = await askController<Shown[]>(controller, '/v1/deployments?limit=1')
      return shown?.id === id && shown.outcome !== null && shown
    },
    { deadlineMs: 300_000, intervalMs: 500 }
  )
  if (ended.outcome !== 'succeeded') throw new Error(`${ended.outcome}: ${ended.reason}`)
  return ended
}

const measure = async (
  controller: Controller,
  hosts: Hosts,
  name: string,
  firstRound: number
): Promise<void> => {
  const [wall, cpu, rate, settled]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let round = 0; round < rounds; round++) {
    const { pid } = controller.process
    const [cpuBefore, framesBefore] = [cpuMs(pid), await hosts.frames()]
    const { requestedAtMs, endedAtMs } = await deploy(controller, firstRound + round)
    const cpuAtEnd = cpuMs(pid) - cpuBefore
    const framesAtEnd = (await hosts.frames()) - framesBefore
    wall.push(endedAtMs - requestedAtMs)
    cpu.push(cpuAtEnd)
    rate.push((framesAtEnd * 1000) / (endedAtMs - requestedAtMs))
    // What hosts clean up and tell afterwards belongs to it too.
    for (let last = 0; cpuMs(pid) - last > quietMs; ) {
      last = cpuMs(pid)
      await pause(2000)
    }
    settled.push(cpuMs(pid) - cpuBefore)
  }
  console.log(
    `${name.padEnd(24)} ${median(wall).toFixed(0)} ms, controller ${median(cpu).toFixed(0)} ms of CPU ` +
      `(${(median(cpu) / hostCount).toFixed(2)} a host; ${median(settled).toFixed(0)} with all that follows), ` +
      `${median(rate).toFixed(0)} frames a second`
  )
}

const run = async (folder: string): Promise<void> => {
  await checkFileLimit()
  await bundlePrograms(join(folder, 'out'))
  const program = bundledPrograms(join(folder, 'out')).cli
  const dataFolder = join(folder, 'controller')
  const token = await initController(dataFolder)
  const controller = await startController({ dataFolder, address: '127.0.0.1', port, program }, token)
  endings.push(() => controller.stop())
  await controller.cli('environments', 'create', 'bench')
  const { stdout } = await controller.cli('join-token', 'create', '--env', 'bench')
  let hosts: Hosts | undefined
  const joinMs = await measureMs(async () => {
    hosts = await startHosts(controller, stdout.trim())
  })
  if (hosts === undefined) throw new Error('no hosts')
  console.log(
    `medians of ${rounds} deployments to ${hostCount} hosts, load average ${loadavg()[0]?.toFixed(1)}`
  )
  console.log(`${'enrolled and connected'.padEnd(24)} ${joinMs.toFixed(0)} ms`)
  const apply = async (parallelism: string): Promise<void> => {
    const file = join(folder, 'web.json')
    const update_config = { monitor: '0s', parallelism }
    const web = { image: 'registry.example/web', deploy: { update_config } }
    writeFileSync(file, JSON.stringify({ services: { web } }))
    const { exitCode, stderr } = await controller.cli('apply', '-f', file, '--env', 'bench')
    if (exitCode !== 0) throw new Error(stderr)
  }
  await apply('100%')
  await measure(controller, hosts, 'all at once', 0)
  await apply('10%')
  await measure(controller, hosts, 'in ten batches', rounds)
  console.log(
    `${'memory of the controller'.padEnd(24)} ${residentMebibytes(controller.process.pid).toFixed(0)} MiB`
  )
}

const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
try {
  await run(folder)
} finally {
  for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end().catch(console.error)
  await removeFolder(folder)
}
