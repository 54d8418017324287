// A bare machine on which the cookbook is converged by the stand-in of Chef, and on which the agent is then started as
// the rendered unit says. It is a mount namespace, on request within a host's network and with its engine.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'
import { runCommand } from '../../../scripts/hosts/run-command.ts'
import type { Host } from '../engine.ts'
import { type RunningProcess, startProcess } from '../processes.ts'
import { makeTestFolder } from '../real-parts.ts'

export const cookbook = resolve(import.meta.dirname, '../../../deploy/chef/longshore')
export const runCookbook = join(import.meta.dirname, 'run-cookbook.rb')

/** The node as Chef would know it; what is left out is that of Debian 12 in the environment `test`. */
export type Node = {
  attributes?: { longshore: { agent?: Record<string, unknown>; controller?: Record<string, unknown> } }
  action?: string
  recipe?: string
  [more: string]: unknown
}
export type Declared = {
  type: string
  name: string | string[]
  actions: string[]
  updated: boolean
  properties: Record<string, unknown>
}
export type Run = { declared: Declared[]; updated: string[]; error: string | null }
export type Machine = {
  /** Runs the cookbook; `meanwhile` begins when it starts the agent's service. */
  converge(node: Node, meanwhile?: () => Promise<unknown>): Promise<Run>
  /** Runs a command there; returns what it printed. */
  run(...command: string[]): Promise<string>
  /** What ExecStart, Environment and EnvironmentFile of the unit say, without systemd. */
  startAgent(): Promise<RunningProcess>
}

const defaults = {
  chef_environment: 'test',
  platform: 'debian',
  platform_family: 'debian',
  platform_version: '12',
  roles: [],
  tags: [],
  data_bags: {},
  vaults: {}
}
const unit = '/etc/systemd/system/longshore-agent.service'

export const bootMachine = async (t: Test, host?: Host): Promise<Machine> => {
  const folder = makeTestFolder(t)
  mkdirSync(folder, { recursive: true })
  const command = [
    ...(host?.enter ?? []),
    'unshare',
    '--mount',
    'sh',
    join(import.meta.dirname, 'boot-machine.sh')
  ]
  const [file = '', ...args] = command
  const env = { ...process.env, NODE: process.execPath, SOCKET: host?.engine.socketPath ?? '' }
  const booted = await startProcess({ name: 'bare machine', file, args, env })
  t.teardown(() => booted.kill())
  await booted.waitForLine(/^ready$/)
  const inside = ['nsenter', `--target=${booted.pid}`, '--mount', '--net']
  const run: Machine['run'] = (...words) => runCommand('nsenter', [...inside.slice(1), ...words])
  let runs = 0
  return {
    run,
    converge: async (node, meanwhile) => {
      runs += 1
      const told = join(folder, `node-${runs}.json`)
      writeFileSync(told, JSON.stringify({ ...defaults, ...node }))
      const chef = await startProcess({
        name: 'stand-in of Chef',
        file: 'nsenter',
        args: [...inside.slice(1), 'sh', '-c', 'exec ruby "$0" "$1" <"$2"', runCookbook, cookbook, told]
      })
      if (meanwhile !== undefined) {
        await chef.waitForLine(/"type":"service","name":"longshore-agent".*"updated":true/)
        await meanwhile()
      }
      await chef.ended
      return readRun(chef)
    },
    startAgent: async () => {
      const text = await run('cat', unit)
      const [, line = ''] = /^ExecStart=(.+)$/m.exec(text) ?? []
      const [, settings = ''] = /^EnvironmentFile=(.+)$/m.exec(text) ?? []
      const given = [...text.matchAll(/^Environment=(.+)$/gm)].map(([, pair = '']) => pair)
      const fromFile = (await run('cat', settings)).split('\n').filter((one) => /^[A-Z]/.test(one))
      const environment = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...given, ...fromFile]
      const agent = await startProcess({
        name: 'agent of the unit',
        file: 'nsenter',
        args: [...inside.slice(1), ...environment, ...line.split(' ')]
      })
      t.teardown(() => agent.stop())
      return agent
    }
  }
}

const readRun = ({ output }: RunningProcess): Run => {
  const lines = output.split('\n').filter((line) => line.startsWith('{"'))
  const documents = lines.map((line) => JSON.parse(line) as Declared & { ended?: string | null })
  const last = documents.pop()
  if (last?.ended === undefined) throw new Error(`the stand-in of Chef did not end well:\n${output}`)
  const updated = documents.filter((one) => one.updated).map(({ type, name }) => `${type}[${name}]`)
  return { declared: documents, updated, error: last.ended }
}
