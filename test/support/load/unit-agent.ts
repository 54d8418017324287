// The agent as the unit of deploy/systemd, HAProxy as the other one: a systemd of its own runs both in the namespace
// of the host's network, on the unit files as they are (boot-systemd.sh).
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { collectCommand, runCommand } from '../../../scripts/hosts/run-command.ts'
import { startProcess } from '../../../scripts/hosts/start-process.ts'
import { makeAuthority } from '../authority.ts'
import type { Host } from '../engine.ts'
import { waitUntil } from '../wait.ts'
import { haproxyPath } from './boxed-agent.ts'
import type { Inside, LoadAgent } from './load-fleet.ts'

export type UnitOptions = {
  /** Folder of the bundles. */
  programs: string
  dataFolder: string
  /** Of the test, with the certificates. */
  folder: string
  controllerUrl: string
  joinToken: string
}

const agentUnit = 'longshore-agent.service'
const unitFiles = resolve(import.meta.dirname, '../../../deploy/systemd')

export const startUnitAgent = async (
  host: Host,
  options: UnitOptions
): Promise<LoadAgent & { inside: Inside; end(): Promise<void> }> => {
  const environment = join(options.folder, 'agent.env')
  const settings = {
    LONGSHORE_CONTROLLER_URL: options.controllerUrl,
    LONGSHORE_ALLOW_PLAINTEXT: '1',
    LONGSHORE_HOST_NAME: host.name
  }
  writeFileSync(
    environment,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('')
  )
  const token = join(options.folder, 'join.token')
  writeFileSync(token, options.joinToken)
  const certificate = await (await makeAuthority(options.folder, host.address)).certify('controller')
  const cgroup = makeCgroup(host.namespace)
  const booted = await startProcess({
    name: `systemd of ${host.namespace}`,
    file: 'sh',
    args: [
      '-c',
      'echo 0 >"$0/cgroup.procs" && exec "$@"',
      cgroup,
      ...['nsenter', `--net=/run/netns/${host.namespace}`],
      ...[
        'unshare',
        '--pid',
        '--mount',
        '--cgroup',
        '--ipc',
        '--uts',
        '--fork',
        '--kill-child',
        '--mount-proc'
      ],
      ...['sh', resolve(import.meta.dirname, 'boot-systemd.sh')]
    ],
    env: {
      ...process.env,
      FOLDER: options.folder,
      DATA: options.dataFolder,
      SOCKET: host.engine.socketPath,
      NODE: process.execPath,
      PROGRAMS: options.programs,
      UNITS: unitFiles,
      ENVIRONMENT: environment,
      TOKEN: token,
      CERT: certificate.cert,
      KEY: certificate.key
    }
  })
  const first = await waitUntil(`${booted.name} to be there; it said ${booted.output}`, () =>
    childOf(booted.pid)
  )
  const inside: Inside = (...command) =>
    runCommand('nsenter', [`--target=${first}`, '--mount', '--pid', ...command])
  const systemctl = (...args: string[]): Promise<string> => inside('systemctl', ...args)
  const mainPid = async (): Promise<string> =>
    (await systemctl('show', '--property=MainPID', '--value', agentUnit)).trim()
  await waitUntil(`${agentUnit} to run; systemd said ${booted.output}`, async () => (await mainPid()) !== '0')
  return {
    inside,
    stop: () => systemctl('stop', agentUnit),
    kill: async () => {
      const before = await mainPid()
      await systemctl('kill', '--signal=KILL', agentUnit)
      await waitUntil('the agent to be gone', async () => (await mainPid()) !== before)
    },
    start: async () => void (await systemctl('start', agentUnit)),
    startWithHaproxy: async (program) => {
      // as a package is installed: the file that runs stays as it is
      await inside('cp', program, `${haproxyPath}.new`)
      await inside('mv', `${haproxyPath}.new`, haproxyPath)
      await systemctl('start', agentUnit)
    },
    end: async () => {
      await collectCommand('kill', ['-KILL', first])
      await booted.stop()
      await waitUntil('the control group to be free', () => removeCgroup(cgroup))
    }
  }
}

/** Where version 2 of control groups is mounted, alone or beside version 1. */
const makeCgroup = (name: string): string => {
  const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1]
  if (root === undefined) throw new Error('control groups of version 2 are not mounted')
  const folder = join(root, name)
  mkdirSync(folder)
  return folder
}

const removeCgroup = async (folder: string): Promise<boolean> => {
  if (!existsSync(folder)) return true
  await collectCommand('find', [folder, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'])
  if (existsSync(folder)) rmdirSync(folder)
  return !existsSync(folder)
}

/** The first process of the new namespace is the only child of `unshare`. */
const childOf = (pid: number): string | undefined =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim() || undefined
