// How Longshore's own programs are run, from a checkout without a build unless other files are named or built: the
// controller on an address, an agent inside a host, the CLI against a controller. Used by the demo, the tests and
// the benchmarks.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type CommandResult, collectCommand } from './run-command.ts'
import { type ProcessEnd, type RunningProcess, startProcess } from './start-process.ts'
import { waitUntil } from './wait-until.ts'

const checkout = resolve(import.meta.dirname, '../..')

/** Arguments of `env`: node without what a test runner adds to every process below it. */
export const startNode = ['-u', 'NODE_OPTIONS', process.execPath]

/** The files of the bundles in this folder, for the options named `program`. */
export const bundledPrograms = (folder: string): { cli: string; agent: string } => ({
  cli: join(folder, 'controller.mjs'),
  agent: join(folder, 'agent.mjs')
})

/** `npm test` builds the programs once, as they start sooner; a single test and the demo run the sources. */
export const builtFolder = process.env['LONGSHORE_TEST_PROGRAMS']
export const { cli: cliMain, agent: agentMain } =
  builtFolder === undefined
    ? {
        cli: join(checkout, 'packages/controller/src/cli/main.ts'),
        agent: join(checkout, 'packages/agent/src/main.ts')
      }
    : bundledPrograms(builtFolder)

/** The caller's environment without settings of Longshore, which would leak into what is started. */
const cleanEnvironment = (own: Record<string, string>): NodeJS.ProcessEnv => {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(LONGSHORE_|DOCKER_|TAP|NODE_V8)/.test(name)
  )
  return { ...Object.fromEntries(inherited), NO_COLOR: '1', LONGSHORE_ALLOW_PLAINTEXT: '1', ...own }
}

/** A daemon that tests kill and start again: always the latest process of it. */
export type Daemon = {
  /** The process that runs now, or ran last. */
  readonly process: RunningProcess
  stop(): Promise<ProcessEnd>
  kill(): Promise<ProcessEnd>
  /** Starts it again with the same settings; `more` are added to its environment. */
  start(more?: Record<string, string>): Promise<void>
}
export type CliResult = CommandResult
export type Controller = Daemon & {
  url: string
  dataFolder: string
  /** The API token that `init` printed: all rights. */
  token: string
  /** Runs the CLI with that token to its end. */
  cli(...args: string[]): Promise<CliResult>
  /** As `cli`, with `--output json`; exit code and document. */
  cliJson<T>(...args: string[]): Promise<{ exitCode: number | null; document: T; stderr: string }>
  /** Runs the CLI on this process's own terminal; returns the exit code. */
  showCli(...args: string[]): Promise<number | null>
  /** Starts the CLI and leaves it running. */
  startCli(...args: string[]): Promise<RunningProcess>
}
export type Agent = Daemon & { name: string; dataFolder: string }

export type ControllerOptions = {
  dataFolder: string
  /** Where it listens. */
  address: string
  port?: number
  /** More arguments of `controller start`. */
  args?: readonly string[]
  env?: Record<string, string>
  /** What node runs as `longshore`, both to start the controller and to ask it; default: the sources. */
  program?: string
}
export type AgentOptions = {
  name: string
  dataFolder: string
  controllerUrl: string
  joinToken: string
  dockerHost: string
  /** Put before the command line: enters the host's network. */
  enter?: readonly string[]
  env?: Record<string, string>
  /** What node runs; default: the sources. */
  program?: string
}

/** Runs the CLI to its end. */
export const runCli = (
  args: readonly string[],
  env: Record<string, string> = {},
  timeoutMs = 300_000,
  program = cliMain
): Promise<CliResult> =>
  collectCommand('env', [...startNode, program, ...args], { env: cleanEnvironment(env), timeoutMs })

/** `longshore controller init`; returns the first API token. */
export const initController = async (dataFolder: string): Promise<string> => {
  const { exitCode, stdout, stderr } = await runCli(['controller', 'init', '--data', dataFolder])
  if (exitCode !== 0) throw new Error(`controller init ended with ${exitCode}: ${stderr}`)
  return stdout.trim()
}

/** `longshore controller start`; resolves when /readyz answers 200. */
export const startController = async (options: ControllerOptions, token: string): Promise<Controller> => {
  const listen = `${options.address}:${options.port ?? 7300}`
  const url = `http://${listen}`
  const program = options.program ?? cliMain
  const env = { LONGSHORE_URL: url, LONGSHORE_TOKEN: token }
  const launch = async (more: Record<string, string>): Promise<RunningProcess> => {
    const args = ['controller', 'start', '--data', options.dataFolder, '--listen', listen]
    const started = await startProcess({
      name: 'controller',
      file: 'env',
      args: [...startNode, program, ...args, ...(options.args ?? [])],
      env: cleanEnvironment({ ...options.env, ...more })
    })
    await waitUntil(`the controller to be ready at ${url}`, async () => {
      if (!started.isRunning) throw new Error(`the controller ended:\n${started.output}`)
      return (await fetch(`${url}/readyz`)).ok
    })
    return started
  }
  const cli: Controller['cli'] = (...args) => runCli(args, env, undefined, program)
  const daemon = await makeDaemon(launch)
  const cliJson: Controller['cliJson'] = async <T>(...args: string[]) => {
    const { exitCode, stdout, stderr } = await cli(...args, '--output', 'json')
    try {
      return { exitCode, document: JSON.parse(stdout) as T, stderr }
    } catch (cause) {
      throw new Error(`longshore ${args.join(' ')} ended with ${exitCode}: ${stdout}${stderr}`, { cause })
    }
  }
  return addTo<Omit<Controller, keyof Daemon>>(daemon, {
    url,
    dataFolder: options.dataFolder,
    token,
    cli,
    cliJson,
    showCli: async (...args) => {
      const own = cleanEnvironment({ ...env, NO_COLOR: process.env['NO_COLOR'] ?? '' })
      // A command that waits would go on waiting after whoever shows it was killed or interrupted.
      const command = ['--pdeathsig', 'KILL', process.execPath, program, ...args]
      const child = spawn('setpriv', command, { stdio: 'inherit', env: own })
      const [exitCode] = (await once(child, 'close')) as [number | null]
      return exitCode
    },
    startCli: (...args) =>
      startProcess({
        name: `longshore ${args.join(' ')}`,
        file: 'env',
        args: [...startNode, program, ...args],
        env: cleanEnvironment(env)
      })
  })
}

/** Starts an agent; resolves when its process runs. */
export const startAgent = async (options: AgentOptions): Promise<Agent> => {
  mkdirSync(options.dataFolder, { recursive: true })
  const program = options.program ?? agentMain
  const [file, ...args] = [...(options.enter ?? []), 'env', ...startNode, program]
  if (file === undefined) throw new RangeError('an empty command line')
  const launch = (more: Record<string, string>): Promise<RunningProcess> =>
    startProcess({
      name: `agent ${options.name}`,
      file,
      args,
      env: cleanEnvironment({
        LONGSHORE_CONTROLLER_URL: options.controllerUrl,
        LONGSHORE_JOIN_TOKEN: options.joinToken,
        LONGSHORE_DATA_DIR: options.dataFolder,
        LONGSHORE_HOST_NAME: options.name,
        DOCKER_HOST: options.dockerHost,
        ...options.env,
        ...more
      })
    })
  return addTo(await makeDaemon(launch), { name: options.name, dataFolder: options.dataFolder })
}

/** Object.assign keeps the getter of `process`; a spread would freeze the first process. */
const addTo = <T extends object>(daemon: Daemon, more: T): Daemon & T => Object.assign(daemon, more)

const makeDaemon = async (
  launch: (more: Record<string, string>) => Promise<RunningProcess>
): Promise<Daemon> => {
  const current = { process: await launch({}) }
  return {
    get process() {
      return current.process
    },
    stop: () => current.process.stop(),
    kill: () => current.process.kill(),
    start: async (more = {}) => {
      current.process = await launch(more)
    }
  }
}
