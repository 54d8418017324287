// `longshore restart`: the current release once more, in new containers, batch by batch.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { addRequestOptions, type RequestFlags } from '../request-options.ts'

type Flags = RequestFlags & { env: string }

export function addRestart(program: Command, context: CliContext): void {
  const command = program
    .command('restart <service>')
    .summary('replace the containers of the current release')
    .description('Replaces the containers of the current release by new ones of the same, and waits.')
    .requiredOption('--env <name>', 'environment')
  addRequestOptions(command).action(async (service: string, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const wanted = { service, environment: flags.env, what: { by: 'current' as const }, recreate: true }
    const { runRequest } = await import('../run-request.ts')
    context.exitCode = await runRequest(context, flags, wanted)
  })
}
