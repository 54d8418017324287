// `longshore promote`: the very image that succeeded in one environment, to another.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { parseDigest } from '../parse-values.ts'
import { addRequestOptions, type RequestFlags } from '../request-options.ts'

type Flags = RequestFlags & { from: string; to: string; digest?: string }

export function addPromote(program: Command, context: CliContext): void {
  const command = program
    .command('promote <service>')
    .summary('bring what runs in one environment to another')
    .description(
      'Brings the very image that is current in one environment to another, with the spec of the latter, and waits.'
    )
    .requiredOption('--from <environment>', 'environment where it succeeded')
    .requiredOption('--to <environment>', 'environment to bring it to')
    .addOption(
      new Option(
        '--digest <digest>',
        'the image with this digest that succeeded there (default: the current one)'
      ).argParser(parseDigest)
    )
  addRequestOptions(command).action(async (service: string, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const { from, to: environment, digest } = flags
    const { runRequest } = await import('../run-request.ts')
    context.exitCode = await runRequest(context, flags, {
      service,
      environment,
      what: { by: 'promote', from, ...(digest === undefined ? {} : { digest }) }
    })
  })
}
