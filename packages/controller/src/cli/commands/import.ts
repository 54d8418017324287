// `longshore import docker-run`: an existing docker run command as a service file. Asks neither controller nor host.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import { dollarsKept } from '../import/value-text.ts'

export function addImport(program: Command, context: CliContext): void {
  const group = program.command('import').description('Service files for what runs already.')
  group
    .command('docker-run [command...]')
    .description(
      'Prints the service file for a docker run command: in quotes, its words after --, or - for standard input.'
    )
    .action(async (command: string[]) => {
      const { readDockerRun } = await import('../import/read-docker-run.ts')
      const { renderImport } = await import('../import/render-import.ts')
      const { file, notices } = renderImport(readDockerRun(await wordsOf(context, command)), context.env)
      context.stdout.write(file)
      for (const notice of notices) context.stderr.write(`${notice}\n`)
    })
}

/** @throws CliError usage */
async function wordsOf(context: CliContext, command: readonly string[]): Promise<readonly string[]> {
  const [line, ...others] = command
  if (line === undefined) throw new CliError('usage', 'which command? Give "docker run ...", or - to read it')
  // the shell has read them
  if (others.length > 0) return command.map(dollarsKept)
  const { splitShell } = await import('../import/split-shell.ts')
  return splitShell(line === '-' ? await context.readStdin() : line)
}
