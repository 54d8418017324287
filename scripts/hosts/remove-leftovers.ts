// What a killed run leaves behind on the machine, and how it is removed: engines and registries (found by the
// namespace they run in or by the pid files below their folder), containers (by runc's state files), mounts.
// Nothing is ended that is not named by those.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { identifyProcess, type ProcessIdentity, signalProcess } from './process-identity.ts'
import { collectCommand, runCommand } from './run-command.ts'
import { waitUntil } from './wait-until.ts'

/** Below an engine's folder: where dockerd notes the pid of its containerd. */
export const containerdPidFile = 'exec/containerd/containerd.pid'

const list = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const readPidFile = (path: string): ProcessIdentity | undefined => {
  try {
    return identifyProcess(Number.parseInt(readFileSync(path, 'utf8'), 10))
  } catch {
    return undefined
  }
}

/** A container's first process, as runc notes it; the start time guards against a pid given out again. */
const runcState = z.object({ init_process_pid: z.int(), init_process_start: z.number() })

const containerProcesses = (engineFolder: string): ProcessIdentity[] => {
  const states = join(engineFolder, 'exec', 'runtime-runc', 'moby')
  return list(states).flatMap((id) => {
    try {
      const state = runcState.parse(JSON.parse(readFileSync(join(states, id, 'state.json'), 'utf8')))
      return [{ pid: state.init_process_pid, startTicks: String(state.init_process_start) }]
    } catch {
      return []
    }
  })
}

/** Everything that an engine in this folder started, whether the engine itself still runs or not. */
export const engineProcesses = (engineFolder: string): ProcessIdentity[] => {
  const daemons = ['pid', containerdPidFile].map((file) => readPidFile(join(engineFolder, file)))
  return [...daemons.filter((found) => found !== undefined), ...containerProcesses(engineFolder)]
}

/** What runs in these network namespaces: engines, their shims, agents. Containers have namespaces of their own. */
export const namespaceProcesses = async (names: readonly string[]): Promise<ProcessIdentity[]> => {
  const pids = await Promise.all(names.map((name) => collectCommand('ip', ['netns', 'pids', name])))
  return pids
    .flatMap(({ stdout }) => stdout.split('\n'))
    .filter((line) => line !== '')
    .map((line) => identifyProcess(Number(line)))
    .filter((found) => found !== undefined)
}

/** SIGKILL to each, then waits until all are gone. */
export const endProcesses = async (processes: ProcessIdentity[]): Promise<void> => {
  const signalled = processes.filter((identity) => signalProcess(identity, 'SIGKILL'))
  await waitUntil('killed processes to go', () =>
    signalled.every(({ pid, startTicks }) => identifyProcess(pid)?.startTicks !== startTicks)
  )
}

/** Unmounts what engines mounted below the folder: deepest first, detached when still busy. */
export const unmountBelow = async (folder: string): Promise<void> => {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)
  for (const path of mounts) await collectCommand('umount', ['-l', path])
}

/** Deletes a folder in which an engine kept its data. */
export const removeFolder = async (folder: string): Promise<void> => {
  await unmountBelow(folder)
  await runCommand('rm', ['-rf', '--one-file-system', folder])
}

/**
 * Ends what a killed owner of this folder left running, and deletes the folder.
 * @param namespacePrefix prefix of the names of its network namespaces
 */
export const removeLeftovers = async (folder: string, namespacePrefix: string): Promise<void> => {
  const namespaces = list('/run/netns').filter((name) => name.startsWith(namespacePrefix))
  const engineFolders = list(folder).map((name) => join(folder, name))
  await endProcesses([...(await namespaceProcesses(namespaces)), ...engineFolders.flatMap(engineProcesses)])
  // Once more: a shim that ended last may have been watching a container begun meanwhile.
  await endProcesses(engineFolders.flatMap(engineProcesses))
  await unmountBelow(folder)
  rmSync(folder, { recursive: true, force: true })
}
