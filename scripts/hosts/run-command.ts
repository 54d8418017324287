// How a short-lived command of the machine (`ip`, `apt-get`) is run: arguments as a list, never a shell, its
// output collected. It runs in a session of its own: Ctrl-C at the terminal must not end the removal of something
// halfway. Long-lived processes are left to start-process.ts.
import { spawn } from 'node:child_process'

export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly code = 'command-failed'
  readonly exitCode: number | null
  readonly stderr: string

  constructor(command: string, exitCode: number | null, stderr: string) {
    super(`${command} ended with ${exitCode ?? 'a signal'}: ${stderr.trim()}`)
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

export type CommandOptions = { env?: NodeJS.ProcessEnv; cwd?: string; timeoutMs?: number }
export type CommandResult = { exitCode: number | null; stdout: string; stderr: string }

/**
 * Runs a command to its end.
 * @returns what it printed; any exit code is an answer here. Rejects when it cannot be started or takes longer
 *   than `timeoutMs` (it is killed then).
 */
export const collectCommand = (
  file: string,
  args: readonly string[],
  options: CommandOptions = {}
): Promise<CommandResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd })
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }))
  })

/** As `collectCommand`, but an exit code other than 0 throws CommandFailed. Returns stdout. */
export const runCommand = async (
  file: string,
  args: readonly string[],
  options: CommandOptions = {}
): Promise<string> => {
  const { exitCode, stdout, stderr } = await collectCommand(file, args, options)
  if (exitCode !== 0) throw new CommandFailed([file, ...args].join(' '), exitCode, stderr)
  return stdout
}
