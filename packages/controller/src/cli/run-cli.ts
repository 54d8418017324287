// One invocation: arguments in, exit code out. Every failure becomes a line on stderr and a code of the table;
// commander's own exit code 1 for wrong usage would say "reverted" and never gets out.
import { CommanderError } from 'commander'
import type { CliContext } from './cli-context.ts'
import { exitCodeOfError } from './cli-errors.ts'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import { createProgram } from './program.ts'
import { renderError } from './render-error.ts'

/** @param args without the program's own name */
export async function runCli(args: readonly string[], context: CliContext): Promise<ExitCode> {
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
    return context.exitCode
  } catch (error) {
    // commander has written its message, or the help that was asked for, already
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.succeeded : exitCodes.usage
    context.stderr.write(renderError(error))
    return exitCodeOfError(error)
  }
}
