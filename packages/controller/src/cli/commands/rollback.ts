// `longshore rollback`: back to the last good release, or to a numbered one.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { parseCount } from '../parse-values.ts'
import { addRequestOptions, type RequestFlags } from '../request-options.ts'

type Flags = RequestFlags & { env: string; release?: number }

export function addRollback(program: Command, context: CliContext): void {
  const command = program
    .command('rollback <service>')
    .summary('go back to a former release')
    .description(
      'Goes back to the last good release before the current one, or to a numbered one, and waits.'
    )
    .requiredOption('--env <name>', 'environment')
    .addOption(new Option('--release <number>', 'release to go back to').argParser(parseCount))
  addRequestOptions(command).action(async (service: string, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const { env: environment, release = null } = flags
    const { runRequest } = await import('../run-request.ts')
    const what = { by: 'rollback' as const, release }
    context.exitCode = await runRequest(context, flags, { service, environment, what })
  })
}
